"""A module that cannot be imported."""

from bad_panic_late.plugin import PanicException

raise PanicException("no GPU")
