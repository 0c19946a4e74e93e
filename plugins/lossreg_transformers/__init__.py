"""The learning-rate schedules of transformers, by name."""
