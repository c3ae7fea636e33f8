"""A bundle's graphs to TensorRT engines. Imports no torch, since engines are built on the device that runs them."""
