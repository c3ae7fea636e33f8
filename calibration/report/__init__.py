"""The calibration report: data, HTML page and terminal tables."""
