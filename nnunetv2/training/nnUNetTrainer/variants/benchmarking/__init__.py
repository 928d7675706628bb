"""Trainers that measure how fast a machine is."""
