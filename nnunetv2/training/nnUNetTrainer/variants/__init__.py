"""Trainers that change one thing each."""
