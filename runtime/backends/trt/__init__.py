"""TensorRT: which engine of a bundle runs here, how it is loaded, and its sessions."""
