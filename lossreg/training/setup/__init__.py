"""From a request to the parts of a run: data set, model and loss, optimizer and schedule; built, tried, checked."""
