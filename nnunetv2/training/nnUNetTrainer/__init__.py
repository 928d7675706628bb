"""Trainers. A file put here, or anywhere below, is searched for trainer classes."""
