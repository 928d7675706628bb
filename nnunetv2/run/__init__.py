"""Training from the command line, and starting from the weights of another model."""
