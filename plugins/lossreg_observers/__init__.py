"""Observers that come with lossreg: trackers, each of which needs a library of its own."""
