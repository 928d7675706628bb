"""Planners for U-Nets with residual encoder."""
