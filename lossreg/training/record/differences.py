"""What is different from a past run, beyond its settings: why a repeat may not give the same bits. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lossreg.values import shown

#: Fact of a run record, as a path -> how a sentence has it, and the settings that decide it.
_FACTS: Mapping[tuple[str, ...], tuple[str, tuple[str, ...]]] = {
    ("device",): ("on {}", ("device",)),
    ("machine", "cpu"): ("on the CPU {}", ()),
    ("machine", "capability"): ("with the CPU capability {}", ()),
    ("machine", "accelerator"): ("on {}", ("device",)),
    ("threads",): ("with {} threads", ()),
    ("processes",): ("in {} processes", ()),
    ("precision", "used"): ("in precision {}", ("precision",)),
    ("layout", "memory_format"): ("in the layout {}", ("layout",)),
}


def differences(file: object, then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each fact that is not as it was, but for what another setting explains.

    Args:
        file: The past run.json, for the sentences.
        then: What it holds.
        now: What the new one will hold.
    """
    was, is_ = then.get("spec"), now["spec"]
    changed = {key for key in is_ if isinstance(was, Mapping) and key in was and was[key] != is_[key]}
    for path, (words, settings) in _FACTS.items():
        before, here = _at(then, path), _at(now, path)
        if before is not None and before != here and not changed & {*settings}:
            known = words.format(_text(before)), words.format("none" if here is None else _text(here))
            yield f"{file} was made {known[0]}, this run is {known[1]}: the weights may differ"
    if not changed & {"data", "validate", "seed", "limit_train", "limit_test"} and "data" not in now["objects"]:
        yield from other_samples(file, then, now)


def other_samples(file: object, then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each split whose samples are others."""
    for split, here in now["digests"].items():
        before = _at(then, ("digests", split))
        if isinstance(before, Mapping) and before.get("of") == here["of"] and before.get("sha256") != here["sha256"]:
            yield f"the samples of the {split} split are not those of {file}"


def _at(content: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = content
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) < 100 else shown(value)
