"""A plugin with a fault."""

import lossreg as lr


class PanicException(BaseException):
    """What pyo3 raises where Rust panics."""


raise PanicException("called `Option::unwrap()` on a `None` value")


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    return [lr.Loss("unreachable", "torch.nn:L1Loss", "A loss", target="dense")]
