"""Trained models as zip files: exporting, installing, downloading."""
