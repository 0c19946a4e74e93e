"""A plugin with a fault: it has no hook."""
