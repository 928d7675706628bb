"""Trainers that change the network of the plans."""
