"""What past runs differ in: groups that differ in the seed alone, each labelled only by what is not common to all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lossreg.errors import SpecError
from lossreg.run_spec import COMPONENT_FIELDS, SETTINGS, RunSpec
from lossreg.spec import ComponentSpec, value_text
from lossreg.training.record.reading import PastRun, setting_text, short_text
from lossreg.values import one_line

SEED = "seed"


@attrs.frozen
class Group:
    """Runs of the same settings, each with a seed of its own.

    Attributes:
        label: What tells it from the other groups; empty for the only one.
        runs: Its runs, in the order of their seeds.
    """

    label: str
    runs: tuple[PastRun, ...]

    @property
    def seeds(self) -> tuple[str, ...]:
        """The seeds of its runs."""
        return tuple(run.spec.get(SEED, "") for run in self.runs)


@attrs.frozen
class _Component:
    """A component as its run tells it.

    Attributes:
        name: With the plugin before it: `builtin.sgd`; the class of an object; None if the run had none.
        written: The parameters in its spec text.
        params: All its parameters, as far as they are known.
    """

    name: str | None
    written: tuple[str, ...]
    params: Mapping[str, str]


def group_runs(runs: Sequence[PastRun]) -> list[Group]:
    """Sorts runs into groups, in the order in which they are first met.

    Runs that differ in nothing, not even the seed, are groups of their own, and named by their directories.
    """
    components = [{field: _component(run, field) for field in COMPONENT_FIELDS} for run in runs]
    keys = [_key(run, parts) for run, parts in zip(runs, components, strict=True)]
    labels = dict(zip(keys, _labels(runs, components), strict=True))
    members: dict[Any, list[PastRun]] = {}
    for key, run in zip(keys, runs, strict=True):
        members.setdefault(key, []).append(run)
    groups = []
    for key, same in members.items():
        counted = Counter(run.spec.get(SEED) for run in same)
        if max(counted.values()) == 1:
            groups.append(Group(labels[key], tuple(sorted(same, key=_by_seed))))
        else:
            names = _directories(same)
            groups += [
                Group(", ".join(filter(None, (labels[key], name))), (run,))
                for name, run in zip(names, same, strict=True)
            ]
    return _with_seeds(groups)


def _by_seed(run: PastRun) -> tuple[int, str]:
    seed = run.spec.get(SEED, "")
    return len(seed), seed


def _with_seeds(groups: Sequence[Group]) -> list[Group]:
    """The groups with the seed in the label of a single run, where it is not the same for all."""
    if len({group.seeds for group in groups}) == 1:
        return list(groups)
    single = {group.seeds for group in groups if len(group.runs) == 1}
    if len(single) < 2 and all(len(group.runs) == 1 for group in groups):
        return list(groups)
    return [
        attrs.evolve(group, label=f"{group.label}, seed {group.seeds[0]}") if len(group.runs) == 1 else group
        for group in groups
    ]


def _directories(runs: Sequence[PastRun]) -> list[str]:
    """Names of directories; their paths where two have the same name."""
    names = Counter(run.directory.name for run in runs)
    return [one_line(run.directory.name if names[run.directory.name] == 1 else str(run.directory)) for run in runs]


def _component(run: PastRun, field: str) -> _Component:
    text = run.components.get(field)
    if text is None:
        return _Component(None, (), {})
    if field in run.objects:
        return _Component(text, (), {})
    try:
        spec = ComponentSpec.parse(text)
    except SpecError:  # of a run.json that was changed by hand
        return _Component(text, (), {})
    written = {name: one_line(value_text(value)) for name, value in spec.params}
    facts = run.facts.get("components")
    built = facts.get(field) if isinstance(facts, dict) else None
    expanded = built.get("params") if isinstance(built, dict) else None
    known = {name: setting_text(value) for name, value in expanded.items()} if isinstance(expanded, dict) else {}
    return _Component(spec.name, tuple(written), {**written, **known})


def _settings(run: PastRun) -> dict[str, str]:
    """The settings but components and seed; one that an older version did not have is at its default."""
    defaults = {name: setting_text(value) for name, value in RunSpec().items()}
    settings = {**defaults, **run.spec}
    return {name: text for name, text in settings.items() if name not in COMPONENT_FIELDS and name != SEED}


def _key(run: PastRun, parts: Mapping[str, _Component]) -> Any:
    """Equal for runs that differ in the seed alone."""
    filled = {field: (part.name, tuple(sorted(part.params.items()))) for field, part in parts.items()}
    return tuple(filled.items()), tuple(sorted(_settings(run).items()))


def _labels(runs: Sequence[PastRun], components: Sequence[Mapping[str, _Component]]) -> list[str]:
    """For each run what it does not have in common with all others."""
    words: list[list[str]] = [[] for _ in runs]
    params = {field: _differing([parts[field] for parts in components]) for field in COMPONENT_FIELDS}
    owners = Counter(name for names in params.values() for name in names)
    for field in ("loss", "optimizer", "scheduler", "model", "data"):
        several = len({parts[field].name for parts in components}) > 1
        names = _names([parts[field].name for parts in components], field)
        for word, name, parts in zip(words, names, components, strict=True):
            shared = {each for each in params[field] if owners[each] > 1 and not several}
            own = [
                f"{field}.{each}={parts[field].params[each]}"
                if each in shared
                else f"{each}={parts[field].params[each]}"
                for each in params[field]
                if each in parts[field].params
            ]
            if several:
                word.append(f"{name}({', '.join(own)})" if own else name)
            else:
                word += own
    settings = [_settings(run) for run in runs]
    known = dict.fromkeys([*SETTINGS, *(name for each in settings for name in each)])
    for name in known:
        texts = [each.get(name, "none") for each in settings]
        if len(set(texts)) > 1:
            for word, text in zip(words, texts, strict=True):
                word.append(f"{name}={text}")
    return [", ".join(word) for word in words]


def _differing(parts: Sequence[_Component]) -> list[str]:
    """The parameters that differ between components of one name, or that were set for several and differ there."""
    found: dict[str, None] = {}
    written = dict.fromkeys(name for part in parts for name in part.written)
    for name in written:
        if len({part.params[name] for part in parts if name in part.params}) > 1:
            found[name] = None
    for alike in {part.name: [one for one in parts if one.name == part.name] for part in parts}.values():
        for name in dict.fromkeys(name for part in alike for name in part.params):
            if len({part.params.get(name) for part in alike}) > 1:
                found[name] = None
    return list(found)


def _names(names: Sequence[str | None], field: str) -> list[str]:
    """Short names; with the plugin before them where two plugins have the same."""
    short = {name: short_text(name) for name in names if name is not None}
    counted = Counter(short.values())
    return [f"no {field}" if name is None else name if counted[short[name]] > 1 else short[name] for name in names]
