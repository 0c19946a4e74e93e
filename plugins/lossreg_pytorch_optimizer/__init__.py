"""The optimizers, schedulers and losses of pytorch_optimizer, by name."""
