"""Random transforms of training patches, and the patch geometry they need."""
