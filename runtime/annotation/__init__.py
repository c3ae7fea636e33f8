"""Annotating a clip: prompts on any frame, tracked forwards and backwards, corrected and saved."""
