"""Losses of the default trainer and its variants."""
