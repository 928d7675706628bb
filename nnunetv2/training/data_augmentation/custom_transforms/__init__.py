"""Transforms in the dict style of batchgenerators, for pipelines written for nnU-Net 2.0 to 2.4."""
