"""The optimizer, its parameter groups, its scheduler, and one step of it."""
