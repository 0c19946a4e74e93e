"""The runner: from a run's spec to a trained model and its record.

`api` is the way in, `setup` the list of what is made and checked, `loop` what is done in each step.
"""
