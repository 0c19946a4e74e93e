"""A plugin with a fault."""

import lossreg as lr


@lr.hookimpl
def lossreg_epoch_finished(run, record):
    """Raises."""
    raise ValueError("I do not like this epoch")
