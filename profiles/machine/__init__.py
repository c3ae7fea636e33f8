"""What a figure was measured on, and what that machine can do at best."""
