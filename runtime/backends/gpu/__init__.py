"""Memory of a GPU, shared by the engines that run there."""
