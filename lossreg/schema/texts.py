"""Spec texts as regular expressions: the names of a kind, and the parameters of a component behind one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lossreg.settings import any_case

_QUOTED = r"""'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"|[^()\[\]{}'"]"""  # or one sign that is no bracket
_DEPTH = 3  # levels of brackets whose ends are found


def _value(depth: int) -> str:
    """A value of a parameter: anything up to the next comma that is in no brackets and no quotes."""
    inside = _QUOTED
    for _ in range(depth - 1):
        inside = rf"{_QUOTED}|[(\[{{](?:{inside})*[)\]}}]"
    return rf"(?:(?!,)(?:{_QUOTED})|[(\[{{](?:{inside})*[)\]}}])*"


_VALUE = _value(_DEPTH)


def name_pattern(name: str) -> str:
    r"""A name in any case, with `-` or `_`.

    Example:
        >>> name_pattern("l_1")
        '[lL][-_]1'
    """
    return any_case(name).replace("_", "[-_]")


def names_pattern(ids: Mapping[str, Iterable[tuple[str, bool]]]) -> str:
    """Components, by their full ids or, where these resolve, by their short names.

    Args:
        ids: Plugin -> pairs of a name and whether it resolves without the plugin's.
    """
    alternatives = []
    for plugin, names in ids.items():
        pairs = list(names)
        for optional in (True, False):
            some = "|".join(name_pattern(name) for name, is_short in pairs if is_short is optional)
            if some:
                alternatives.append(rf"(?:{name_pattern(plugin)}\.){'?' if optional else ''}(?:{some})")
    return "|".join(alternatives)


def text_pattern(names: str) -> str:
    """Spec texts that begin with one of some names, with any parameters."""
    return rf"^\s*(?:{names})\s*(?:\([\s\S]*\)\s*)?$"


def checked_pattern(names: str, parameters: Sequence[str]) -> str:
    """Spec texts that begin with one of some names, and have these parameters and no others."""
    if not parameters:
        return rf"^\s*(?:{names})\s*(?:\(\s*\)\s*)?$"
    one = rf"\s*(?:{'|'.join(parameters)})\s*={_VALUE}"
    return rf"^\s*(?:{names})\s*(?:\(\s*(?:{one}(?:,{one})*,?\s*)?\)\s*)?$"
