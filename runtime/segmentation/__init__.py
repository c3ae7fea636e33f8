"""Segmentation of single images: with prompts, or every mask without a prompt."""
