"""Planners that resample in another way."""
