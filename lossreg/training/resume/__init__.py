"""Going on with a run: what a checkpoint of it holds, when it is written, and taking it up again."""
