"""JSON Schema of a file of settings: what an editor completes and checks `run.toml` with."""
