"""What a user points at, how the command line writes it, and when it is given."""
