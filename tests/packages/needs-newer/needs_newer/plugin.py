"""A plugin of the future."""

raise RuntimeError("it was imported")
