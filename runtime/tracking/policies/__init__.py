"""Memory policies, one per file; each is found by itself (known_policies.py)."""
