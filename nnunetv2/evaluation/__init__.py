"""How good predictions are: overlap of segmentations with their references, per case and per data set."""
