"""The losses, optimizers and models of timm (PyTorch Image Models), by name."""
