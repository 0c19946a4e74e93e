"""Parameters sorted by patterns and presets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
from torch.nn import Parameter

from lossreg.errors import ConfigError
from lossreg.groups import NO_DECAY, ParamGroup
from lossreg.pattern_terms import Dimensions, Glob, ParameterFacts, Pattern, Shape, Type
from lossreg.patterns import parse_pattern
from lossreg.suggestions import close_matches
from lossreg.training.optim.group_options import GroupOptions, labelled, takes
from lossreg.training.optim.layers import Parameters, without_decay

if TYPE_CHECKING:
    from lossreg.training.choice import Choice

_NONE: Mapping[str, str] = MappingProxyType({})
_NO_FACTS: Mapping[str, ParameterFacts] = MappingProxyType({})
MAX_SHOWN = 20  # names in an error message
_WORD = re.compile(r"[^.*?]+")  # of a glob


class OptimizerGroup(NamedTuple):
    """Parameters with the options that the optimizer has for them.

    Attributes:
        options: What is different from the optimizer's own options.
        parameters: The parameters.
        names: Their names.
        pattern: The pattern that put them here, or None.
        by_level: The same options for the optimizer, for the one that it wraps, and so on.
    """

    options: dict[str, Any]
    parameters: list[Parameter]
    names: tuple[str, ...] = ()
    pattern: str | None = None
    by_level: tuple[dict[str, Any], ...] = ({},)

    @property
    def of_wrapped(self) -> OptimizerGroup:
        """The group as it is for the optimizer that this one wraps."""
        by_level = self.by_level[1:] or ({},)
        return self._replace(options=by_level[0], by_level=by_level)


@attrs.frozen
class Presets:
    """What the presets ask for.

    Attributes:
        no_decay: Whether biases and parameters of normalisations are trained without weight decay.
        layer_decay: The factor of the rate from each layer to the one below it, or None.
    """

    no_decay: bool
    layer_decay: float | None

    @classmethod
    def of(cls, groups: Sequence[ParamGroup]) -> Presets:
        """Those among the groups."""
        decays = [group.layer_decay for group in groups if group.layer_decay is not None]
        return cls(any(group.pattern == NO_DECAY for group in groups), decays[0] if decays else None)


def match_parameters(
    facts: Mapping[str, ParameterFacts],
    groups: Sequence[ParamGroup],
    model: str,
    further: Mapping[str, str] = _NONE,
    frozen: Mapping[str, ParameterFacts] = _NO_FACTS,
) -> dict[str, ParamGroup]:
    """The group of each parameter that a pattern matches.

    Args:
        facts: The trainable parameters by name.
        groups: The patterns; presets are not among them.
        model: The model in an error message.
        further: Further names of the parameters -> their name in `names`.
        frozen: The other parameters, which are not trained.

    Raises:
        ConfigError: If a pattern matches nothing, or what is frozen or further names alone, or two match one.

    Example:
        >>> facts = {name: ParameterFacts(name, (2,)) for name in ("0.bias", "1.bias")}
        >>> [*match_parameters(facts, [ParamGroup("0.*")], "mlp")]
        ['0.bias']
    """
    matched: dict[str, ParamGroup] = {}
    for group in groups:
        found = matching(group.pattern, facts, "param_groups", f"trainable parameter of {model}", further, frozen)
        for name in found:
            if name in matched:
                raise ConfigError(
                    f"param_groups: the parameter {name} is in two groups, {matched[name].pattern!r} and "
                    f"{group.pattern!r}; add '& !{name}', or what else is in both, to one of the patterns"
                )
            matched[name] = group
    return matched


def matching(
    text: str,
    facts: Mapping[str, ParameterFacts],
    setting: str,
    what: str,
    further: Mapping[str, str] = _NONE,
    frozen: Mapping[str, ParameterFacts] = _NO_FACTS,
) -> list[str]:
    """The names of the parameters that a pattern matches.

    Args:
        text: The pattern.
        facts: The parameters by name.
        setting: What the pattern stands in, for the error message.
        what: What it should match.
        further: Further names of the parameters -> their name in `facts`.
        frozen: Parameters that are none of those because they are frozen.

    Raises:
        ConfigError: If there is none, with what there is.
    """
    pattern = parse_pattern(text)
    found = [name for name, one in facts.items() if pattern.matches(one)]
    if not found:
        _refuse_further(pattern, text, facts, setting, further)
        _refuse_frozen(pattern, f"{setting}: {text!r} matches no {what}", frozen)
        title, there_are = _what_there_is(pattern, facts)
        hint = _meant(pattern, facts, there_are)
        more = len(there_are) - MAX_SHOWN
        shown = there_are[:MAX_SHOWN] + ([f"... {more} more"] if more > 0 else [])
        raise ConfigError(f"{setting}: {text!r} matches no {what}.{hint} {title}: {', '.join(shown) or 'none'}")
    return found


def _what_there_is(pattern: Pattern, facts: Mapping[str, ParameterFacts]) -> tuple[str, list[str]]:
    """What a pattern that matched nothing could have matched, with a title."""
    if isinstance(pattern, Type):
        return "Types", [*dict.fromkeys(one for fact in facts.values() for one in fact.types)]
    if isinstance(pattern, Dimensions | Shape):
        return "Parameters", [f"{name} {fact.shape}" for name, fact in facts.items()]
    return "Parameters", [*facts]


def _meant(pattern: Pattern, facts: Mapping[str, ParameterFacts], there_are: Sequence[str]) -> str:
    """What was probably meant by a pattern that matched nothing, as a sentence with a blank before it, or nothing."""
    if not isinstance(pattern, Glob | Type):
        return ""
    sought = pattern.glob if isinstance(pattern, Type) else pattern.text
    respelt = _respelt(sought, facts) if isinstance(pattern, Glob) else None
    meant = [respelt] if respelt else close_matches(sought, there_are)
    return f" Did you mean {' or '.join(map(repr, meant))}?" if meant else ""


def _respelt(glob: str, facts: Mapping[str, ParameterFacts]) -> str | None:
    """A glob whose words are those of names, where it has some that no name has; None if that matches nothing either.

    Example:
        >>> _respelt("*.bais", {"0.bias": ParameterFacts("0.bias", (2,))})
        '*.bias'
    """
    if "[" in glob:  # letters of which one is meant are no word
        return None
    words = sorted({word for name in facts for word in name.split(".")})

    def nearest(found: re.Match[str]) -> str:
        near = () if any(found[0] in word for word in words) else close_matches(found[0], words, 1)
        return near[0] if near else found[0]

    respelt = Glob(_WORD.sub(nearest, glob))
    return respelt.text if any(map(respelt.matches, facts.values())) else None


def _refuse_frozen(pattern: Pattern, why: str, frozen: Mapping[str, ParameterFacts]) -> None:
    """Refuses a pattern that matches what is frozen alone: a list of the others would not say what is wrong."""
    held = [name for name, one in frozen.items() if pattern.matches(one)]
    if held:
        more = f" and {len(held) - 1} more" if len(held) > 1 else ""
        raise ConfigError(
            f"{why}: it matches {held[0]}{more}, frozen by freeze or by requires_grad_(False); leave this pattern out, "
            "or do not freeze what it matches"
        )


def _refuse_further(
    pattern: Pattern, text: str, facts: Mapping[str, ParameterFacts], setting: str, further: Mapping[str, str]
) -> None:
    """Refuses a pattern that matches further names of parameters, and no first one.

    They are not used as names: a pattern for the rest of a tied layer would take the shared weight from its group.
    """
    for name, first in further.items():
        if first in facts and pattern.matches(attrs.evolve(facts[first], name=name)):
            raise ConfigError(
                f"{setting}: {text!r} matches {name}, which is the same tensor as {first}; it goes by that name: "
                f"write {first}"
            )


def sort_groups(
    names: Sequence[str],
    matched: Mapping[str, ParamGroup],
    presets: Presets,
    known: Parameters,
    named: Mapping[str, Parameter],
    choice: Choice,
    runtime: Mapping[str, Any],
) -> list[OptimizerGroup]:
    """The groups of one optimizer: first those of its parameters that match no pattern, then those of each.

    With `layer_decay` each of these is cut by layers, from the top, and with `no_decay` by weight decay.

    Args:
        names: The parameters of the optimizer.
        matched: Name -> the group that a pattern puts it in.
        presets: What the presets ask for.
        known: What there is to know of the parameters.
        named: The parameters.
        choice: The optimizer.
        runtime: Runtime name -> value.

    Raises:
        LossregError: If the optimizer does not have an option, or a value does not fit.
    """
    order = [group.pattern for group in matched.values()]
    top = max(known.layers.values(), default=0)
    decays = presets.no_decay and takes(choice, "weight_decay", runtime)
    cut: dict[tuple[int, int, bool], list[str]] = {}
    for name in names:
        group = matched.get(name)
        place = -1 if group is None else order.index(group.pattern)
        below = top - known.layers[name] if presets.layer_decay is not None else 0
        cut.setdefault((place, below, decays and without_decay(known.facts[name])), []).append(name)
    sorter = GroupOptions(choice, presets.layer_decay, runtime)
    groups = []
    for (_, below, undecayed), some in sorted(cut.items()):
        group = matched.get(some[0])
        options = sorter.of(group, below, named[some[0]], some[0], undecayed=undecayed)
        pattern = None if group is None else group.pattern
        parameters = [named[name] for name in some]
        groups.append(OptimizerGroup(labelled(choice, options), parameters, tuple(some), pattern, tuple(options)))
    return groups
