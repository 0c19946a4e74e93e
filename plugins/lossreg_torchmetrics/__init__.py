"""The metrics of torchmetrics that compare an output with a target, by name."""
