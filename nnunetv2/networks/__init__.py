"""From an architecture entry of the plans to a network class, and what it costs in memory."""
