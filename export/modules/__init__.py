"""The torch modules of stages, written for what inference engines do well."""
