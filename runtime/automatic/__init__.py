"""Every mask of an image without a prompt: where is clicked, what is kept, and how it is written."""
