"""A clip made harder in a known way, with its true masks moved along: a file for each family."""
