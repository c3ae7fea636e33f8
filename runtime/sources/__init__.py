"""Sources of frames: files, folders, cameras, streams, standard input."""
