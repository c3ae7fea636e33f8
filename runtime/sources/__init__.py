"""Where frames come from: files, folders, cameras, streams, standard input."""
