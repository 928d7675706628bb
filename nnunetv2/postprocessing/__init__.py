"""Keeping only the largest component of a label, where that helped in the cross-validation."""
