"""Learning rate as a closed formula of the epoch."""
