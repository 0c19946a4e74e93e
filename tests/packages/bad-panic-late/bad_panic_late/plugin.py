"""A plugin whose hooks and factories end with what is no Exception."""

import lossreg as lr


class PanicException(BaseException):
    """What pyo3 raises where Rust panics."""


class Loss:
    """A loss that cannot be made."""

    def __init__(self):
        raise PanicException("index out of bounds")


@lr.hookimpl
def lossreg_losses():
    """A loss that cannot be made, and one whose module cannot be imported."""
    return [
        lr.Loss("lost", Loss, "A loss", target="dense"),
        lr.Loss("adrift", "bad_panic_late.loss:Loss", "A loss", target="dense"),
    ]


@lr.hookimpl
def lossreg_epoch_finished(run, record):
    """Panics."""
    raise PanicException("index out of bounds: the len is 0")
