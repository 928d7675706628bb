"""Resampling to another voxel spacing; a file dropped in here adds functions that plans can name."""
