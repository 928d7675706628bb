"""Trainers that differ in the number of epochs."""
