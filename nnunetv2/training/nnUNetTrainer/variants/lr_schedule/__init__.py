"""Trainers that change the learning rate differently."""
