"""Trainers that minimise another loss."""
