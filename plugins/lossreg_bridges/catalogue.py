"""The page that says what the indexes that come with lossreg have, made of these alone."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Iterator

from lossreg.component import KINDS
from lossreg.names import plural
from lossreg_bridges.bridge import Bridge, index_of
from lossreg_bridges.index import Index

#: The bridges, in the order of the page.
BRIDGES = ("kornia", "monai", "pytorch_optimizer", "smp", "timm", "torchmetrics", "transformers")

#: The kinds of which the page says why each that is left out is.
EXPLAINED = ("optimizer", "loss", "scheduler", "metric")

LINE = 118  # characters

_HEAD = """\
# The catalogue

<!-- Made by `python -m lossreg_bridges catalogue`; a test compares it with the indexes. -->

What other packages have is offered by name where they are installed: `lossreg run --opt timm.lion`. Installing one adds
its names, and nothing else changes; [Bridges](bridges.md) says how that works.
"""

_TRIED = """\
Each row of these was tried with random numbers when its index was made: an optimizer takes 12 steps, a loss gives a
finite value and gradient on data made from its contract, a scheduler steps through a run, a metric gives one value
however a split is cut into batches, and a model gives one number for each class (of timm one model of each module; the
others of the module differ in sizes alone). What does not is left out.

A loss that takes anything but a model's output and a target, such as a field of displacements or a mask of one class,
was tried with that, and is for [training loops of your own](losses.md#all-losses): `lossreg show` says what it takes.
"""


def bridges() -> list[Bridge]:
    """All bridges."""
    return [importlib.import_module(f"lossreg_{name}.plugin").BRIDGE for name in BRIDGES]


def page() -> str:
    """The page, as Markdown."""
    indexes = {bridge.name: index_of(bridge, None) for bridge in bridges()}
    blocks = [_HEAD, "\n".join(_counts(indexes)) + "\n", _TRIED, "## What is left out, and why\n"]
    blocks += [
        "\n".join(_left_out(name, index)) + "\n" for name, index in indexes.items() if any(index.left_out.values())
    ]
    return "\n".join(blocks)


def counts(index: Index) -> dict[str, int]:
    """How many components of each kind an index has."""
    return {kind: len(index.components.get(kind, {})) for kind in KINDS if index.components.get(kind)}


def _counts(indexes: dict[str, Index]) -> Iterator[str]:
    total: Counter[str] = Counter()
    for index in indexes.values():
        total.update(counts(index))
    kinds = [kind for kind in KINDS if total[kind]]
    yield f"| Package | Install | {' | '.join(plural(kind) for kind in kinds)} |"
    yield f"|---|---|{'---:|' * len(kinds)}"
    for name, index in indexes.items():
        own = counts(index)
        cells = " | ".join(f"{own[kind]:,}" if kind in own else "" for kind in kinds)
        yield f"| {index.package} {index.version}, as `{name}` | `lossreg[{name.replace('_', '-')}]` | {cells} |"
    yield f"| {sum(total.values()):,} names | | {' | '.join(f'{total[kind]:,}' for kind in kinds)} |"


def _left_out(name: str, index: Index) -> Iterator[str]:
    yield f"### {name}\n"
    for kind in KINDS:
        reasons: dict[str, list[str]] = {}
        for one, problem in index.left_out.get(kind, {}).items():
            reasons.setdefault(problem if kind in EXPLAINED else "", []).append(one)
        for reason, names in reasons.items():
            listed = ", ".join(f"`{one}`" for one in names)
            yield from _wrapped(f"- {plural(kind)} {listed}" + (f": {_as_markdown(reason)}" if reason else ""))
    if any(kind not in EXPLAINED for kind in index.left_out):
        yield ""
        yield f"The reason of each model stands in `plugins/lossreg_{name}/index.json`."


def _as_markdown(reason: str) -> str:
    return re.sub(r"([|<\[\]*_`])", r"\\\1", reason)


def _wrapped(text: str) -> Iterator[str]:
    import textwrap

    yield from textwrap.wrap(text, LINE, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
