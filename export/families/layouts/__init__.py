"""How the files of a family's authors are laid out: their names of tensors, and what shapes say of the model."""
