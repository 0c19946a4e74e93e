"""What a run leaves and shows: its directory, run.json, the rows of its metrics, its progress."""
