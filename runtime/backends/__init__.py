"""One file a backend: each opens the sessions of a bundle on one inference engine."""
