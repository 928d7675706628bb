"""Cropping to the part of an image that is not zero."""
