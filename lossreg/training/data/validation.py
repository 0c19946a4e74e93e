"""Cuts a validation split off the training split: by a hash of each sample, with each class's share kept.

The hash of a sample and the seed decide where it goes. Two things change that. A sample whose input came before goes
where that one went, so that no input is in two splits. And where the hashes alone would take a class too far from its
share, the next sample of the class goes to the part that lacks most. What was decided for a sample depends on itself
and on the samples before it, never on those that follow: more samples at the end of a data set move none.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from lossreg.data import task_text
from lossreg.errors import DataError
from lossreg.training.data.load import count_of, tensors_of
from lossreg.training.data.reader import Part

if TYPE_CHECKING:
    from lossreg import data
    from lossreg.data import Task
    from lossreg.validation import Cut

#: How far a part may be from its share of a class: one sample, and this part of the share. A greater one would leave
#: more to the hash, so that less moves in a data set that is sorted anew; a smaller one keeps the shares closer.
SLACK = 0.05

HASHED_AT_ONCE = 4096  # samples whose bytes are laid out at a time


@attrs.frozen(eq=False)
class HeldOut:
    """A split in two.

    Attributes:
        train: What is left to train on, in the order of the data set.
        validation: What is held out, in the same order.
        facts: For the run record: `by` (`content` or `index`: what is hashed), `stratified`, `reason`, and `digest`, a
            hash of the indices that are held out.
        left: The indices of what is left to train on.
    """

    train: data.Split
    validation: data.Split
    facts: dict[str, Any]
    left: list[int]


def hold_out(split: data.Split, cut: Cut, task: Task, limit: int | None, seed: int, where: str) -> HeldOut:
    """Cuts a split in two.

    Args:
        split: A pair of tensors, or a map-style data set of pairs.
        cut: Which share.
        task: The classes of a classification keep their shares.
        limit: Only the first N samples are cut; None is all.
        seed: Another seed is another cut.
        where: The split in an error message.

    Raises:
        DataError: If nothing, or nothing of a class, is left on one side.
    """
    if type(split) is TensorDataset and len(split.tensors) == 2:
        split = (split.tensors[0], split.tensors[1])
    plain = _plain(split, where)
    tensors = tensors_of(plain, limit, where)
    if tensors is None:
        count = count_of(split, limit, where)
        by, hashes, targets = "index", _of_indices(seed, count), getattr(split, "targets", None)
    else:
        count = len(tensors[1])
        by, hashes, targets = "content", _of_rows(tensors[0], seed), tensors[1]
    strata, reason = _strata(targets, task, count if tensors is not None else count_of(split, None, where))
    strata = strata and strata[:count]
    parts = assign(hashes, [None] * count if strata is None else strata, cut.shares)
    _check_parts(parts, strata, cut, where)
    held = torch.tensor([index for index, part in enumerate(parts) if part == cut.held])
    left = torch.tensor([index for index, part in enumerate(parts) if part != cut.held])
    digest = hashlib.blake2b(held.numpy().tobytes(), digest_size=8).hexdigest()
    facts = {"by": by, "stratified": strata is not None, "reason": reason, "digest": digest}
    train = _chosen(split, tensors if plain is split else None, left)
    return HeldOut(train, _chosen(plain, tensors, held), facts, left.tolist())


def _plain(split: Any, where: str) -> Any:
    """The samples without augmentation, for a data set whose attribute `plain` has them; else the split itself.

    Raises:
        DataError: If they are not as many.
    """
    plain = getattr(split, "plain", None)
    if not isinstance(plain, tuple | list | Dataset) or isinstance(split, tuple | list):
        return split
    count = len(plain if isinstance(plain, Dataset) else plain[-1])  # type: ignore[arg-type]  # map-style ones have a length
    if count != len(split):
        raise DataError(f"{where}: it has {len(split)} samples, and its attribute `plain` {count}; it is the same ones")
    return plain


def assign(hashes: Iterable[int], strata: Sequence[Any], shares: Sequence[float]) -> list[int]:
    """The part that each sample goes to.

    Of the first m samples of a stratum, whatever m is, a part of the share s has at most `s m + 1 + SLACK s m`, and
    where there are two parts at least `s m - 1 - SLACK s m`. It has one as soon as `s m` is 1. Samples that follow an
    earlier copy may change that.

    Args:
        hashes: Of each sample, 0 to 2**64 - 1.
        strata: The class of each sample.
        shares: Of each part; their sum is 1.

    Returns:
        The index of a part for each sample.
    """
    bounds = [share * 2**64 for share in itertools.accumulate(shares)]
    last = len(shares) - 1
    went: dict[int, int] = {}  # hash -> part, for copies
    counts: dict[Any, list[int]] = {}
    parts = []
    for one, stratum in zip(hashes, strata, strict=True):
        counted = counts.setdefault(stratum, [0] * len(shares))
        part = went.get(one)
        if part is None:
            natural = next((index for index in range(last) if one < bounds[index]), last)
            part = went[one] = _guarded(natural, counted, shares)
        counted[part] += 1
        parts.append(part)
    return parts


def _guarded(part: int, counted: Sequence[int], shares: Sequence[float]) -> int:
    """The part that the hash names, unless it has too much of the stratum already, or another part too little."""
    size = sum(counted) + 1
    lacks = [share * size - has for share, has in zip(shares, counted, strict=True)]
    greatest = max(lacks)
    neediest = part + (lacks[part:] + lacks[:part]).index(greatest)  # of equal ones the next: the hash decides still
    neediest -= len(lacks) if neediest >= len(lacks) else 0
    has_room = lacks[part] >= -SLACK * shares[part] * size
    is_urgent = greatest > 1 + SLACK * shares[neediest] * size
    is_due = counted[part] > 0 and 0 in counted and _is_due(counted, shares, size)
    return part if has_room and not is_urgent and not is_due else neediest


def _is_due(counted: Sequence[int], shares: Sequence[float], size: int) -> bool:
    """Whether no sample is left over before each part has to have its first."""
    empty = [share for share, has in zip(shares, counted, strict=True) if not has]
    return any(math.ceil(1 / share - 1e-9) - size < len(empty) for share in empty)


def _strata(targets: Any, task: Task, count: int) -> tuple[list[int] | None, str]:
    """The class of each sample, or None and why there is none."""
    if task != "classification":
        return None, f"a {task_text(task)} has no class for each sample"
    try:
        classes = None if targets is None else torch.as_tensor(targets)
    except (TypeError, ValueError, RuntimeError):
        classes = None
    if classes is None or classes.shape != (count,) or classes.is_floating_point() or classes.is_complex():
        return None, "the data set has no attribute `targets` with a class for each sample"
    return classes.tolist(), "each class keeps its share"


def _of_indices(seed: int, count: int) -> Iterator[int]:
    """Hashes of the indices of samples: those of a map-style data set may differ each time they are read."""
    return (_hash(index.to_bytes(8, "little"), seed) for index in range(count))


def _of_rows(inputs: Tensor, seed: int) -> Iterator[int]:
    """Hashes of the bytes of inputs."""
    for first in range(0, len(inputs), HASHED_AT_ONCE):
        some = inputs[first : first + HASHED_AT_ONCE].detach().cpu().contiguous()
        rows = some.reshape(len(some), -1).view(torch.uint8).numpy()
        yield from (_hash(row.data, seed) for row in rows)


def _hash(content: bytes | memoryview, seed: int) -> int:
    digest = hashlib.blake2b(content, digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little")


def _check_parts(parts: Sequence[int], strata: Sequence[int] | None, cut: Cut, where: str) -> None:
    """Checks that both sides have samples, of every class that has more than one."""
    held = [part == cut.held for part in parts]
    for side, wanted in (("for validation", True), ("to train on", False)):
        if wanted not in held:
            raise DataError(
                f"{where}: validate (--validate) {cut.text} leaves none of its {len(parts)} samples {side}",
                setting="validate",
            )
        if strata is None:
            continue
        sizes = Counter(strata)
        there = {stratum for stratum, is_held in zip(strata, held, strict=True) if is_held is wanted}
        missing = sorted(stratum for stratum, size in sizes.items() if size > 1 and stratum not in there)
        if missing:
            more = f" (nor of {len(missing) - 1} other classes)" if len(missing) > 1 else ""
            raise DataError(
                f"{where}: validate (--validate) {cut.text} leaves no sample of class {missing[0]}, which has "
                f"{sizes[missing[0]]}, {side}{more}; {_advice(sizes[missing[0]], cut, is_held=wanted)}",
                setting="validate",
            )


def _advice(size: int, cut: Cut, *, is_held: bool) -> str:
    if cut.text.startswith("fold"):
        return f"fold(1/{size}) to fold({size}/{size}) have one each"
    if is_held:
        return f"a share of {math.ceil(1000 / size) / 1000:g} or more does not"
    return f"a share of {math.floor(1000 - 1000 / size) / 1000:g} or less does not"


def _chosen(split: Any, tensors: tuple[Tensor, Tensor] | None, indices: Tensor) -> data.Split:
    if tensors is None:
        return Part(split, indices.tolist())
    inputs, targets = tensors
    return inputs[indices.to(inputs.device)], targets[indices.to(targets.device)]
