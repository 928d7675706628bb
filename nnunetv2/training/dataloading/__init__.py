"""From preprocessed cases to batches."""
