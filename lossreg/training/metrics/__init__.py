"""The metrics that a run names: choosing, building and trying them, and summing up a split."""
