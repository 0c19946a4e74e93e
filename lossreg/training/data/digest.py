"""A hash of the samples of a split, so that a repeat can tell whether it has the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lossreg.training.data.splits import ResidentSplit

if TYPE_CHECKING:
    from lossreg.training.data.splits import Split

WHOLE = 4_000_000  # bytes of a tensor that is hashed whole, in some milliseconds
SUMMED = 16_000_000  # bytes of a greater one that go into a sum, which takes 0.15 s on a slow core
SPREAD = 256  # samples of a greater one that are hashed, from all over it
FIRST = 4  # samples of a split that is read batch by batch

_WHOLE_NUMBERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def digest_of(split: Split) -> dict[str, str]:
    """What the run record says of the samples of a split.

    A small split is hashed whole. Of a greater one 256 samples are, and a sum over all numbers, or over those of every
    n-th sample where there are more than 16 MB. Of a split that is read batch by batch the first 4 are, with the
    number of samples.

    Returns:
        `sha256`, its first 32 digits; and `of`, what is hashed.
    """
    digest = hashlib.sha256(str(len(split)).encode())
    if isinstance(split, ResidentSplit):
        hashed = {_add(digest, part) for part in (split.inputs, split.targets)}
        of = next((one for one in hashed if one != "all samples"), "all samples")
    else:
        of = f"the first {min(FIRST, len(split))} samples, and how many there are"
        for part in split.head(FIRST):
            _add(digest, part)
    return {"sha256": digest.hexdigest()[:32], "of": of}


def _add(digest: hashlib._Hash, values: Tensor) -> str:
    """Takes a tensor of samples into a hash, the same in every layout and on every device; says how much of it."""
    digest.update(f"{tuple(values.shape)} {values.dtype}".encode())
    if values.numel() * values.element_size() <= WHOLE:
        digest.update(_bytes(values))
        return "all samples"
    step = -(-values.numel() * values.element_size() // SUMMED)
    numbers = torch.view_as_real(values[::step]) if values.is_complex() else values[::step]
    # Whole numbers of the same bits: their sum does not depend on the order.
    whole = numbers.view(_WHOLE_NUMBERS[numbers.element_size()])
    digest.update(str(whole.sum(dtype=torch.int64).item()).encode())
    spread = torch.linspace(0, len(values) - 1, min(SPREAD, len(values)), device=values.device).round().long()
    digest.update(_bytes(values.index_select(0, spread)))
    return f"{len(spread)} samples, and a sum over {'all' if step == 1 else f'every {step}th'}"


def _bytes(values: Tensor) -> bytes:
    flat = values.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
