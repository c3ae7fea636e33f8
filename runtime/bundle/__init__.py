"""Bundles on disk: the manifest, the stages it declares, and the graphs and engines of each stage."""
