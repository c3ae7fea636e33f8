"""Records when each part of the pipeline ran, through wrapped sessions, source and sink."""
