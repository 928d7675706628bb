"""Preprocessors: the steps for one case and for a whole data set."""
