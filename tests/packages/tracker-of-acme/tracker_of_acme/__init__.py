"""A tracker, as a stranger would write it."""
