"""Model families, one file each. Every file with a FAMILY is found by itself; no registration is needed."""
