"""FP16 and INT8 versions of a bundle, and what each costs in accuracy."""
