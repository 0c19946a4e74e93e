"""A plugin with a fault."""

raise ValueError("I cannot be imported\non any day")
