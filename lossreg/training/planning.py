"""A run checked without starting it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lossreg.errors import ConfigError
from lossreg.training.hardware.deterministic import deterministic_algorithms, naming_operations
from lossreg.training.hardware.distributed import Processes
from lossreg.training.observing import build_observers
from lossreg.training.parts import Parts
from lossreg.training.record.differences import differences
from lossreg.training.record.reading import read_content
from lossreg.training.results import Plan
from lossreg.training.selection import Request
from lossreg.training.setup.assembly import set_up
from lossreg.training.stops import exits_as_failures
from lossreg.training.untouched import untouched


def plan_request(request: Request) -> Plan:
    """Checks what was asked for; see `plan`."""
    deterministic = request.spec.deterministic
    with exits_as_failures(), untouched(request.objects.values()), deterministic_algorithms(wanted=deterministic):
        build_observers(request)  # what cannot be built is found here too; none is called
        with naming_operations(wanted=deterministic):
            parts = set_up(request, Processes(), quiet=True)
        facts = parts.describe()
        changes = list(changes_of_repeat(request, parts))
        parts.freezing.end(parts.objective)
    rates = parts.optimization.rates
    return Plan(
        spec=parts.spec,
        components=facts.pop("components"),
        contract=facts.pop("contract"),
        facts={key: value for key, value in facts.items() if key != "spec"},
        learning_rates=None if rates is None else [(rate.first, rate.last) for rate in rates],
        warnings=[*changes, *parts.warnings],
        planned=parts.optimization.planned,
    )


def changes_of_repeat(request: Request, parts: Parts) -> Iterator[str]:
    """What is different from the past run that is repeated."""
    if request.repeats is not None:
        with contextlib.suppress(ConfigError):  # its settings were read from it before
            yield from differences(request.repeats, read_content(request.repeats), parts.describe())
