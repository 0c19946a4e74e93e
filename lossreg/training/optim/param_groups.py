"""Parameters sorted by patterns and presets, and the options of the optimizer for each group."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import torch
from torch.nn import Parameter

from lossreg.errors import BuildError, ConfigError, LossregError
from lossreg.groups import NO_DECAY, SCHEDULER, ParamGroup, factor_of
from lossreg.patterns import Glob, ParameterFacts, Pattern, parse_pattern
from lossreg.registry.build import ResolvedComponent
from lossreg.suggestions import close_matches
from lossreg.training.optim.layers import Parameters, without_decay

if TYPE_CHECKING:
    from lossreg.training.selection import Choice

_NONE: Mapping[str, str] = MappingProxyType({})
MAX_SHOWN = 20  # names in an error message


class OptimizerGroup(NamedTuple):
    """Parameters with the options that the optimizer has for them.

    Attributes:
        options: What is different from the optimizer's own options.
        parameters: The parameters.
        names: Their names.
        pattern: The pattern that put them here, or None.
    """

    options: dict[str, Any]
    parameters: list[Parameter]
    names: tuple[str, ...] = ()
    pattern: str | None = None


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
    facts: Mapping[str, ParameterFacts], groups: Sequence[ParamGroup], model: str, further: Mapping[str, str] = _NONE
) -> dict[str, ParamGroup]:
    """The group of each parameter that a pattern matches.

    Args:
        facts: The trainable parameters by name.
        groups: The patterns; presets are not among them.
        model: The model in an error message.
        further: Further names of the parameters -> their name in `names`.

    Raises:
        ConfigError: If a pattern matches nothing, or further names alone, or two match one parameter.

    Example:
        >>> facts = {name: ParameterFacts(name, (2,)) for name in ("0.bias", "1.bias")}
        >>> [*match_parameters(facts, [ParamGroup("0.*")], "mlp")]
        ['0.bias']
    """
    matched: dict[str, ParamGroup] = {}
    for group in groups:
        found = matching(group.pattern, facts, "param_groups", f"trainable parameter of {model}", further)
        for name in found:
            if name in matched:
                raise ConfigError(
                    f"param_groups: the parameter {name} is in two groups, {matched[name].pattern!r} and "
                    f"{group.pattern!r}"
                )
            matched[name] = group
    return matched


def matching(
    text: str, facts: Mapping[str, ParameterFacts], setting: str, what: str, further: Mapping[str, str] = _NONE
) -> list[str]:
    """The names of the parameters that a pattern matches.

    Args:
        text: The pattern.
        facts: The parameters by name.
        setting: What the pattern stands in, for the error message.
        what: What it should match.
        further: Further names of the parameters -> their name in `facts`.

    Raises:
        ConfigError: If there is none, with what there is.
    """
    pattern = parse_pattern(text)
    found = [name for name, one in facts.items() if pattern.matches(one)]
    if not found:
        _refuse_further(pattern, text, facts, setting, further)
        meant = close_matches(text, facts) if isinstance(pattern, Glob) else ()
        hint = f" Did you mean {' or '.join(map(repr, meant))}?" if meant else ""
        shown = [*facts][:MAX_SHOWN] + ([f"... {len(facts) - MAX_SHOWN} more"] if len(facts) > MAX_SHOWN else [])
        raise ConfigError(f"{setting}: {text!r} matches no {what}.{hint} Parameters: {', '.join(shown)}")
    return found


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
    sorter = _Options(choice, presets, runtime)
    groups = []
    for (_, below, undecayed), some in sorted(cut.items()):
        group = matched.get(some[0])
        options = sorter.of(group, below, named[some[0]], some[0], undecayed=undecayed)
        pattern = None if group is None else group.pattern
        groups.append(OptimizerGroup(options, [named[name] for name in some], tuple(some), pattern))
    return groups


def takes(choice: Choice, option: str, runtime: Mapping[str, Any]) -> bool:
    """Whether an optimizer has an option; a function that makes one is asked when it has made it."""
    return choice.resolved is None or option in choice.resolved.expanded(runtime)


@attrs.define
class _Options:
    """The options of groups, checked for one optimizer."""

    choice: Choice
    presets: Presets
    runtime: Mapping[str, Any]

    def of(
        self, group: ParamGroup | None, below: int, parameter: Parameter, name: str, *, undecayed: bool
    ) -> dict[str, Any]:
        """The options of the group of a parameter, in the form that the optimizer takes.

        An optimizer with these options for its own is built and thrown away: torch does not look at those of groups.
        """
        written = dict(group.options) if group is not None else {}
        where = group.pattern if group is not None else NO_DECAY if undecayed else "layer_decay"
        try:
            options = self._checked({key: value for key, value in written.items() if factor_of(value) is None})
            for key, value in written.items():
                factor = factor_of(value)
                if factor is not None:
                    options[key] = self._base(key) * factor
            if undecayed and "weight_decay" in options:
                raise ConfigError(
                    f"the weight_decay of {name} is set here and by the preset {NO_DECAY}; add '& !{name}' to the "
                    "pattern, or leave one of them out"
                )
            if undecayed:
                options["weight_decay"] = 0.0
            if below and self.presets.layer_decay is not None:
                options["lr"] = (options["lr"] if "lr" in options else self._base("lr")) * (
                    self.presets.layer_decay**below
                )
            self._try(options, parameter, name)
        except LossregError as error:
            error.message = f"param_groups: {where!r}: {error.message}"
            raise
        return options

    def _checked(self, options: dict[str, Any]) -> dict[str, Any]:
        entry = None if self.choice.resolved is None else self.choice.resolved.entry
        if SCHEDULER in options and (entry is None or SCHEDULER not in entry.signature.parameters):
            name = self.choice.label if entry is None else entry.name
            raise ConfigError(
                f"{SCHEDULER} is that of a whole optimizer; for these parameters alone write an optimizer of their own "
                f"in place of the options: {name}({SCHEDULER}=...)"
            )
        return options if entry is None else entry.checked(options)

    def _base(self, option: str) -> float:
        """The optimizer's own value of an option that is multiplied."""
        resolved = self.choice.resolved
        if resolved is None:
            raise ConfigError(
                f"{self.choice.label} is a function, whose {option} is not known before it is called; name an "
                "optimizer, or write the value itself"
            )
        if option not in resolved.params:
            resolved.entry.signature.find(option, resolved.entry.name, resolved.entry.component.defaults)
        value = resolved.expanded(self.runtime).get(option)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{option} of {self.choice.label} is {value!r}, which cannot be multiplied")
        return float(value)

    def _try(self, options: Mapping[str, Any], parameter: Parameter, name: str) -> None:
        _check_rate(options)
        resolved = self.choice.resolved
        if options and resolved is not None:
            values = {**resolved.params, **options}
            trial = ResolvedComponent(resolved.entry, values, values)
            params = [Parameter(torch.zeros((2,) * parameter.ndim))]
            pairs = [(name, params[0])]
            runtime = {**self.runtime, "params": params, "named_params": pairs}
            try:
                trial.build(params, runtime=runtime)
            except BuildError:
                if not options.keys() <= resolved.entry.signature.parameters.keys():
                    with contextlib.suppress(BuildError):  # what groups alone have (use_muon)
                        resolved.build([{"params": params, **options}], runtime=runtime)
                        return
                if resolved.entry.component.needs is not None:
                    raise
                with contextlib.suppress(BuildError):  # what was refused first is what is told
                    trial.build(pairs, runtime=runtime)  # what takes pairs alone, and does not say so
                    return
                raise


def _check_rate(options: Mapping[str, Any]) -> None:
    rate = options.get("lr")
    if isinstance(rate, int | float) and abs(rate) > torch.finfo(torch.float32).max:
        raise ConfigError(f"lr={rate:g}, which no float32 weight can be moved by")
