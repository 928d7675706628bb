"""Making raw data sets: writing dataset.json."""
