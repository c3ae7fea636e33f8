"""What happened when: the pipeline, recorded through wrapped sessions."""
