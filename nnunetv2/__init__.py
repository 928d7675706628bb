"""nnU-Net v2: from a data set to a trained, evaluated segmentation model. Importing it imports nothing else."""

__version__ = "2.8.1+flare.1"
