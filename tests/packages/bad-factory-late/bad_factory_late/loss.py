"""A module without the loss that the plugin names."""
