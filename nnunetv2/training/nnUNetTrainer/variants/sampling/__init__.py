"""Trainers that choose training patches differently."""
