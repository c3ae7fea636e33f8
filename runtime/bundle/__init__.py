"""What is on disk: the manifest, the stages that it declares, and the graphs and engines of each."""
