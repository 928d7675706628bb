"""Intensity normalization; a file dropped in here adds schemes that plans can name."""
