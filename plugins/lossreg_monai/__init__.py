"""The losses and networks of MONAI, by name."""
