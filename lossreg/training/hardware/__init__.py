"""What a run computes on, and in: devices, precision, memory layout, compilation, processes."""
