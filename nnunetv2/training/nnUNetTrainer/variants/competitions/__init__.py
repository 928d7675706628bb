"""Trainers made for particular challenges."""
