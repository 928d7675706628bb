"""The documents of nnU-Net: what is in dataset.json, plans, fingerprints, splits, summaries, and where they lie."""
