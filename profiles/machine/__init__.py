"""The device that figures were measured on, and its peak performance."""
