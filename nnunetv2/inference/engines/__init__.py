"""Engines: what computes the logits of a batch of tiles, with the weights of one of several folds."""
