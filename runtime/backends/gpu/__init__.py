"""GPU memory, shared by the engines that run on the GPU."""
