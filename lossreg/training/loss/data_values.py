"""The numbers for `balanced`: parameters of a loss that follow from how frequent each class is."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from lossreg.data import has_indices
from lossreg.errors import ConfigError, DataError, LossregError
from lossreg.registry.build import ResolvedComponent, resolve
from lossreg.registry.from_data import BALANCED, FromData
from lossreg.spec import ComponentSpec
from lossreg.spec_hints import MAX_LENGTH
from lossreg.training.data.reader import check_classes
from lossreg.training.data.splits import ResidentSplit
from lossreg.training.display.counter import Counter

if TYPE_CHECKING:
    from lossreg.components import Loss
    from lossreg.data import Data
    from lossreg.registry.registry import Registry
    from lossreg.training.data.splits import StreamedSplit
    from lossreg.training.hardware.distributed import Processes

    Split = ResidentSplit | StreamedSplit

READ_AT_ONCE = 256  # samples of a streamed split
DIGITS = 9  # of each number: as many as tell all float32 apart
NAMED = 5  # classes that a message names


@attrs.frozen
class ClassCounts:
    """How frequent each class is.

    Attributes:
        having: Of each class, the targets that are it, or the samples that have it.
        total: All targets that count, or all samples.
        ignored: A class of which no target counts, or None.
        behind: How many dimensions an output has behind that of the classes.
        where: The split in an error message.
    """

    having: tuple[int, ...]
    total: int
    ignored: int | None
    behind: int
    where: str


def with_data_values(
    resolved: ResolvedComponent[Any],
    label: str,
    data: Data,
    train: Split,
    processes: Processes,
    losses: Registry[Loss, Any],
    *,
    quiet: bool,
) -> ResolvedComponent[Any]:
    """A loss with numbers in the place of each `balanced`; the same in all processes, which call this together.

    Args:
        resolved: The loss.
        label: The loss in an error message.
        data: The data set.
        train: Its training split, as it is trained on.
        processes: Those that train together; of a streamed split each reads a share.
        losses: Where names are looked up.
        quiet: Whether nothing is shown while samples are read.

    Raises:
        ConfigError: If the data set has no classes.
        DataError: If a class has no samples, so that it has no weight.
    """
    if not _asks(resolved):
        return resolved
    try:
        if data.task == "regression":
            raise ConfigError(f"{BALANCED} goes by classes, and {_where(train)}, has numbers to predict: a regression")
        counted: dict[int | None, ClassCounts] = {}

        def counts(ignored: int | None) -> ClassCounts:
            if ignored not in counted:
                counted[ignored] = count_classes(data, train, ignored, processes, quiet=quiet)
            return counted[ignored]

        spec = _filled(resolved, counts)
        if len(spec.text) > MAX_LENGTH:
            raise ConfigError(f"{BALANCED} makes a text of {len(spec.text):,} characters, and {MAX_LENGTH:,} are read")
    except LossregError as error:
        error.message = f"loss {label}: {error.message}"
        error.setting = "loss"
        raise
    return resolve(losses, spec)


def _asks(value: Any) -> bool:
    """Whether a component, or one that is nested in it, has a parameter that is computed."""
    if isinstance(value, ResolvedComponent):
        return any(map(_asks, value.params.values()))
    return any(map(_asks, value)) if isinstance(value, tuple) else isinstance(value, FromData)


def _filled(resolved: ResolvedComponent[Any], counts: Callable[[int | None], ClassCounts]) -> ComponentSpec:
    """The spec of a component with full ids and with numbers."""
    ignored = {**resolved.entry.expanded(resolved.entry.component.defaults), **resolved.params}.get("ignore_index")

    def numbers(value: Any) -> Any:
        if isinstance(value, FromData):
            return numbers_of(value, counts(ignored if isinstance(ignored, int) else None))
        if isinstance(value, ResolvedComponent):
            return _filled(value, counts)
        return tuple(map(numbers, value)) if isinstance(value, tuple) else value

    return resolved.spec.with_params({key: numbers(value) for key, value in resolved.params.items() if _asks(value)})


def numbers_of(wanted: FromData, counts: ClassCounts) -> tuple[Any, ...]:
    """The numbers of a parameter.

    `class_weights` are n / (C n_c), as scikit-learn's "balanced" are: n targets, C classes, n_c targets of the class.
    A class that is ignored counts as none, and has the weight 0. `pos_weights` are (n - n_c) / n_c; of a segmentation
    they have the shape (C, 1, ...), so that they are those of the classes.

    Raises:
        DataError: If a class has no weight.
    """
    classes = [index for index in range(len(counts.having)) if index != counts.ignored]
    absent = [index for index in classes if not counts.having[index]]
    _check_weighed(absent, wanted, f"has no sample in {counts.where}", f"have no samples in {counts.where}")
    if wanted.fact == "class_weights":
        labels = sum(counts.having)
        weights = [labels / (len(classes) * having) if having else 0.0 for having in counts.having]
        return tuple(map(_rounded, weights))
    everywhere = [index for index in classes if counts.having[index] == counts.total]
    every = f"in every sample of {counts.where}"
    _check_weighed(everywhere, wanted, f"is {every}", f"are {every}")
    weights = [(counts.total - having) / having if having else 0.0 for having in counts.having]
    found: list[Any] = [_rounded(weight) for weight in weights]
    for _ in range(counts.behind):
        found = [(one,) for one in found]
    return tuple(found)


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")


def _check_weighed(lacking: Sequence[int], wanted: FromData, one: str, several: str) -> None:
    """Checks that no class is without a weight."""
    if not lacking:
        return
    names = ", ".join(map(str, lacking[:NAMED])) + (f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else "")
    who, it = (f"class {names} {one}", "it") if len(lacking) == 1 else (f"classes {names} {several}", "them")
    raise DataError(
        f"{who}, so {wanted.parameter}={BALANCED} has no weight for {it}; give numbers, {wanted.parameter}=[...]"
    )


def count_classes(data: Data, split: Split, ignored: int | None, processes: Processes, *, quiet: bool) -> ClassCounts:
    """Counts the classes of the training split.

    Args:
        data: The data set.
        split: Its training split.
        ignored: A target that does not count, or None.
        processes: As for `with_data_values`.
        quiet: Likewise.

    Raises:
        DataError: If a target is not one of the classes, or a sample cannot be read.
    """
    classes = data.outputs
    where = _where(split)
    having, total, behind = torch.zeros(classes, dtype=torch.int64), 0, 0
    for targets in _targets(split, processes, quiet=quiet):
        if has_indices(data.task):
            check_classes(targets, classes, ignored, where)
            kept = targets if ignored is None else targets[targets != ignored]
            having += torch.bincount(kept.flatten(), minlength=classes).cpu()
            total += kept.numel()
            behind = targets.ndim - 1
        else:
            _check_columns(targets, classes, where)
            having += (targets > 0).sum(dim=0).cpu()
            total += len(targets)
    if not isinstance(split, ResidentSplit):
        having, total, behind = _of_all(having, total, behind, processes)
    inside = ignored if ignored is not None and 0 <= ignored < classes and has_indices(data.task) else None
    return ClassCounts(tuple(having.tolist()), total, inside, behind, where)


def _where(split: Split) -> str:
    return split.where if isinstance(split, ResidentSplit) else split.reader.where


def _targets(split: Split, processes: Processes, *, quiet: bool) -> Iterator[Tensor]:
    """The targets of the training split; of a streamed one this process's share of them."""
    if isinstance(split, ResidentSplit):
        yield split.targets
        return
    first, last = (len(split) * rank // processes.world_size for rank in (processes.rank, processes.rank + 1))
    edges = [*range(first, last, READ_AT_ONCE), last]
    try:
        with Counter(last - first, f"counting the classes of {split.reader.where}", quiet=quiet) as counter:
            for _, targets in split.in_order(itertools.pairwise(edges), 0):
                yield targets
                counter.add(len(targets))
    finally:
        split.close()  # its workers start again with the training


def _check_columns(targets: Tensor, classes: int, where: str) -> None:
    if targets.ndim != 2 or targets.shape[1] != classes:
        shape = tuple(targets.shape)
        raise DataError(f"{where}: the targets of {len(targets)} samples have the shape {shape}, not (N, {classes})")


def _of_all(having: Tensor, total: int, behind: int, processes: Processes) -> tuple[Tensor, int, int]:
    """What the processes have counted together; one with an empty share has seen no targets."""
    found: list[tuple[list[int], int, int]] = []
    processes.check_together((having.tolist(), total, behind), lambda each: found.extend(one for one in each if one))
    columns, totals, dimensions = zip(*found, strict=True)
    return torch.tensor(columns).sum(dim=0), sum(totals), max(dimensions)
