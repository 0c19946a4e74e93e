"""The losses of kornia, by name."""
