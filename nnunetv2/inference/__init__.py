"""Predicting with trained models: from files or arrays, through the sliding window, back to the original grid."""
