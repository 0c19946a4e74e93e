"""The samples of a run: how they are read, ordered and cut into batches."""
