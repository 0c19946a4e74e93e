"""Pictures of runs, plans and losses. matplotlib is imported here alone, and only when something is drawn."""
