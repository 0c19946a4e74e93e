"""Dotted options: `--opt.lr 0.1` sets one parameter of a component."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import click

from lossreg.registry.edits import Edit
from lossreg.run_spec import COMPONENT_FIELDS, LISTED_FIELDS, SETTINGS
from lossreg.suggestions import did_you_mean

#: Flag without its dashes -> field of the run's spec.
FLAGS: Mapping[str, str] = {
    flag.removeprefix("--"): field for field in COMPONENT_FIELDS for flag in SETTINGS[field].flags
}

#: Flag without its dashes -> the kind of which it may name several components.
LISTED: Mapping[str, str] = {
    flag.removeprefix("--"): kind for field, kind in LISTED_FIELDS.items() for flag in SETTINGS[field].flags
}

WAITING = "lossreg.waiting"  # where a context keeps a dotted option whose value is being completed

DOTTED = re.compile(r"--([A-Za-z][\w-]*)\.([^=]+)(?:=(.*))?", re.ASCII | re.DOTALL)


def split_dotted(args: Sequence[str], ctx: click.Context) -> tuple[list[str], list[Edit]]:
    """Separates dotted options from the other arguments.

    Raises:
        click.UsageError: If one has no value, or its flag is not a component's.
    """
    rest: list[str] = []
    edits: list[Edit] = []
    words = iter(args)
    for word in words:
        if word == "--":
            return [*rest, word, *words], edits
        match = DOTTED.fullmatch(word)
        if match is None:
            rest.append(word)
            continue
        flag, parameter, text = match.groups()
        if text is None:
            text = next(words, None)
        if ctx.resilient_parsing:
            if text is None and flag in FLAGS:
                ctx.meta[WAITING] = Edit(word, FLAGS[flag], parameter.replace("-", "_"), "")
            continue
        if flag in LISTED:
            written = f'--{flag} "NAME({parameter.replace("-", "_")}=...)"'
            raise click.UsageError(f"--{flag}.{parameter}: there may be several {LISTED[flag]}s; write {written}", ctx)
        if flag not in FLAGS:
            hint = did_you_mean(f"--{flag}", [f"--{known}" for known in FLAGS]).replace("'", "")
            raise click.UsageError(f"--{flag}.{parameter}: there is no component --{flag}.{hint}", ctx)
        if text is None:
            raise click.UsageError(f"--{flag}.{parameter} needs a value", ctx)
        edits.append(Edit(f"--{flag}.{parameter}", FLAGS[flag], parameter.replace("-", "_"), text))
    return rest, edits
