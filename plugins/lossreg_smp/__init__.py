"""The losses and architectures of segmentation_models_pytorch, by name."""
