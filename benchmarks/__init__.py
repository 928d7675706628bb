"""Proofs that run this package and upstream nnU-Net side by side, or against recorded results."""
