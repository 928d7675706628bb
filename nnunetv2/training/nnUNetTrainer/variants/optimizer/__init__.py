"""Trainers that use another optimizer."""
