"""The report: data, HTML page, pictures and terminal."""
