"""Planners: public classes of hooks around pure functions."""
