"""Checkpoints: directories of plain data and tensors that are whole or not there. It knows nothing of runs."""
