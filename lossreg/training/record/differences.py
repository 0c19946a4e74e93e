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
    changed = _changed_settings(then, now)
    for before, here in other_facts(then, now):
        yield f"{file} was made {before}, this run is {here}: the weights may differ"
    yield from _other_initial_weights(file, then, now)
    if not changed & {"data", "validate", "seed", "limit_train", "limit_test"} and "data" not in now["objects"]:
        changed_files = list(other_files(file, then, now))
        yield from changed_files or other_samples(file, then, now)


def other_facts(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What was computed on and in, and what is now, for each of these that no other setting explains.

    Args:
        then: What a past run.json holds.
        now: What the new one will hold.

    Returns:
        Pairs of words, such as `on cuda:0` and `on cpu`.
    """
    changed = _changed_settings(then, now)
    for path, (words, settings) in _FACTS.items():
        before, here = _at(then, path), _at(now, path)
        if before is not None and before != here and not changed & {*settings}:
            yield words.format(_text(before)), words.format("none" if here is None else _text(here))


def other_versions(then: Mapping[str, Any], now: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """What has another version than in a past run: its name, the version then, and that of now.

    The part behind a `+`, which says for which device a torch was built, is not compared: `machine` tells it.
    """
    for name, here in now.items():
        before = then.get(name)
        if before is not None and str(before).partition("+")[0] != here.partition("+")[0]:
            yield name, _text(before), here


def _changed_settings(then: Mapping[str, Any], now: Mapping[str, Any]) -> set[str]:
    was, is_ = then.get("spec"), now["spec"]
    return {key for key in is_ if isinstance(was, Mapping) and key in was and was[key] != is_[key]}


def _other_initial_weights(file: object, then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """A sentence where `init_from` is the same and names another file, or one that has changed."""
    before, here = _at(then, ("init",)), now.get("init")
    if not isinstance(before, Mapping) or here is None or _changed_settings(then, now) & {"init_from", "init_partial"}:
        return
    if before.get("sha256") != here["sha256"]:
        moved = before.get("file") != here["file"]
        what = f"{_text(here['file'])} instead of {_text(before.get('file'))}" if moved else _text(here["file"])
        yield f"{file} began with other weights (init_from) than are in {what} now: the weights may differ"


def other_files(file: object, then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each file of the data set that has changed since a past run."""
    was = _at(then, ("source", "files"))
    files = [one for one in was if isinstance(one, Mapping)] if isinstance(was, list) else []
    before = {_text(one.get("path")): one.get("sha256") for one in files}
    for one in _at(now, ("source", "files")) or ():
        sha256 = before.get(_text(one["path"]))
        if sha256 is not None and sha256 != one["sha256"]:
            yield f"{one['path']} has changed since {file}: the samples are others"


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
