"""The options of parameter groups: whose they are where an optimizer wraps another one, and whether they fit."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch.nn import Parameter

from lossreg.errors import BuildError, ConfigError, LossregError, UnknownParameterError
from lossreg.groups import NO_DECAY, SCHEDULER, ParamGroup, factor_of
from lossreg.registry.build import ResolvedComponent
from lossreg.registry.levels import GroupsByLevel, levels_of, nested_in
from lossreg.suggestions import did_you_mean
from lossreg.values import shown

if TYPE_CHECKING:
    from lossreg.training.choice import Choice

ByLevel = list[dict[str, Any]]  # the options of a group for each level of an optimizer, the outermost first
Runtime = Mapping[str, Any]


def takes(choice: Choice, option: str, runtime: Runtime) -> bool:
    """Whether an optimizer, or one that it wraps, has an option; a function is asked when it has made one."""
    return choice.resolved is None or any(_has(level, option, runtime) for level in levels_of(choice.resolved))


def _has(level: ResolvedComponent[Any], option: str, runtime: Runtime) -> bool:
    return option in level.entry.signature.parameters or option in level.expanded(runtime)


def labelled(choice: Choice, by_level: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The options of a group for a person; where the optimizer wraps another one, each says whose it is.

    Args:
        choice: The optimizer.
        by_level: The options, level by level.
    """
    if len(by_level) == 1:
        return dict(by_level[0])
    names = [level.entry.name for level in levels_of(choice.resolved)]
    pairs = [*zip(names, by_level, strict=True)][::-1]  # the innermost first: it has the rate
    return {f"{name}.{key}": value for name, options in pairs for key, value in options.items()}


@attrs.define
class GroupOptions:
    """The options of groups, checked for one optimizer.

    Attributes:
        choice: The optimizer.
        layer_decay: The factor of the rate from each layer to the one below it, or None.
        runtime: Runtime name -> value.
    """

    choice: Choice
    layer_decay: float | None
    runtime: Runtime
    _levels: list[ResolvedComponent[Any]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._levels = [] if self.choice.resolved is None else levels_of(self.choice.resolved)

    def of(self, group: ParamGroup | None, below: int, parameter: Parameter, name: str, *, undecayed: bool) -> ByLevel:
        """The options of the group of a parameter, in the form that the optimizer takes.

        An optimizer with these options for its own is built and thrown away: torch does not look at those of groups.

        Args:
            group: What is written for it; None where presets alone make the group.
            below: How many layers are above it, for `layer_decay`.
            parameter: One of the group.
            name: Its name.
            undecayed: Whether it is trained without weight decay.

        Raises:
            LossregError: If the optimizer does not have an option, or a value does not fit.
        """
        where = group.pattern if group is not None else NO_DECAY if undecayed else "layer_decay"
        try:
            options = self._written(dict(group.options) if group is not None else {})
            if undecayed:
                decayed = options[self._innermost("weight_decay")]
                if "weight_decay" in decayed:
                    raise ConfigError(
                        f"the weight_decay of {name} is set here and by the preset {NO_DECAY}; add '& !{name}' to the "
                        "pattern, or leave one of them out"
                    )
                decayed["weight_decay"] = 0.0
            if below and self.layer_decay is not None:
                place = self._innermost("lr")
                rate = options[place]["lr"] if "lr" in options[place] else self._base("lr", place)
                options[place]["lr"] = rate * self.layer_decay**below
            self._try(options, parameter, name)
        except LossregError as error:
            error.message = f"param_groups: {where!r}: {error.message}"
            raise
        return options

    def _written(self, written: Mapping[str, Any]) -> ByLevel:
        """What is written, sorted by levels, checked, and with factors multiplied."""
        values: ByLevel = [{} for _ in range(max(len(self._levels), 1))]
        for key, value in written.items():
            inside = self._named(key, value)
            if inside is not None:
                values[inside] |= value
                continue
            place = self._place(key)
            values[place] = {**values[place], key: value}
        options: ByLevel = []
        for place, some in enumerate(values):
            plain = {key: value for key, value in some.items() if factor_of(value) is None}
            factors = {key: factor for key, value in some.items() if (factor := factor_of(value)) is not None}
            checked = self._checked(plain, place)
            options.append(checked | {key: self._base(key, place) * factor for key, factor in factors.items()})
        return options

    def _named(self, key: str, value: Any) -> int | None:
        """The level that `NAME.OPTION=` names; None for the option of one that is not named."""
        names = [level.entry.name for level in self._levels]
        if (
            not names
            or not isinstance(value, Mapping)
            or any(key in level.entry.signature.parameters for level in self._levels)
        ):
            return None
        if key in names:
            return names.index(key)
        if len(names) == 1 and self._levels[0].entry.signature.open:
            return None
        raise ConfigError(
            f"{', '.join(f'{key}.{option}' for option in value)}: {key} does not train these parameters."
            f"{did_you_mean(key, names)} They are trained by {' in '.join(names[::-1])}"
        )

    def _place(self, option: str) -> int:
        """The level that has an option.

        Raises:
            LossregError: If several have it, or none has.
        """
        if len(self._levels) < 2:
            return 0
        names = [level.entry.name for level in self._levels]
        for name, wrapped, level in zip(names, names[1:], self._levels, strict=False):
            if any(nested_in(level.params.get(option))):
                raise ConfigError(
                    f"{option} of {name}, which is {wrapped}, is the same for all groups; for these parameters alone "
                    f"write an optimizer of their own in place of the options: {name}(...)"
                )
        places = [place for place, one in enumerate(self._levels) if option in one.entry.signature.parameters]
        if len(places) > 1:
            ways = " or ".join(f"{names[place]}.{option}=..." for place in places)
            raise ConfigError(
                f"{' and '.join(names[place] for place in places)} have a parameter {option!r} each; say whose is "
                f"meant: {ways}"
            )
        is_open = [place for place, level in enumerate(self._levels) if level.entry.signature.open]
        if places or is_open:
            return (places or is_open)[-1]
        raise self._unknown(option, names)

    def _unknown(self, option: str, names: Sequence[str]) -> UnknownParameterError:
        own = {
            name: [one for one in level.entry.signature.parameters if not any(nested_in(level.params.get(one)))]
            for name, level in zip(names, self._levels, strict=True)
        }
        known = dict.fromkeys(one for some in own.values() for one in some)
        described = "; ".join(f"{name} has {', '.join(some)}" for name, some in own.items() if some)
        return UnknownParameterError(
            f"neither {' nor '.join(names)} has a parameter {shown(option)}.{did_you_mean(option, known)} {described}",
            component=names[0],
            parameter=option,
        )

    def _innermost(self, option: str) -> int:
        """The level whose option a preset sets."""
        places = [place for place, level in enumerate(self._levels) if _has(level, option, self.runtime)]
        return places[-1] if places else max(len(self._levels) - 1, 0)

    def _checked(self, options: Mapping[str, Any], place: int) -> dict[str, Any]:
        entry = self._levels[place].entry if self._levels else None
        if SCHEDULER in options and (entry is None or SCHEDULER not in entry.signature.parameters):
            name = self.choice.label if entry is None else entry.name
            raise ConfigError(
                f"{SCHEDULER} is that of a whole optimizer; for these parameters alone write an optimizer of their own "
                f"in place of the options: {name}({SCHEDULER}=...)"
            )
        if entry is None:
            return dict(options)
        checked = entry.checked(options)
        if checked and place < len(self._levels) - 1:
            self._check_own(checked, place)
        return checked

    def _check_own(self, options: Mapping[str, Any], place: int) -> None:
        """Checks that an optimizer that wraps another one can have these options for a group alone."""
        level = self._levels[place]
        name, wrapped = level.entry.name, self._levels[place + 1].entry.name
        if level.entry.component.needs and "optimizer" in level.entry.component.needs:
            raise ConfigError(
                f"{' and '.join(options)} of {name} cannot differ between groups: it is given {wrapped}, not the "
                "parameters"
            )
        members = [Parameter(torch.zeros(2, 2))]
        inner: ByLevel = [{} for _ in self._levels[place + 1 :]]
        built = level.build(GroupsByLevel.of([members], [[options, *inner]]), runtime=self.runtime)
        held = {key for group in (*built.param_groups, *getattr(built, "own_groups", ())) for key in group}
        for key in options:
            if key not in held:
                raise ConfigError(f"{key} of {name} cannot differ between groups: it does not read it from its groups")

    def _base(self, option: str, place: int) -> float:
        """The optimizer's own value of an option that is multiplied."""
        if not self._levels:
            raise ConfigError(
                f"{self.choice.label} is a function, whose {option} is not known before it is called; name an "
                "optimizer, or write the value itself"
            )
        level = self._levels[place]
        if option not in level.params:
            level.entry.signature.find(option, level.entry.name, level.entry.component.defaults)
        value = level.expanded(self.runtime).get(option)
        if isinstance(value, bool) or not isinstance(value, int | float):
            label = self.choice.label if len(self._levels) == 1 else level.entry.name
            raise ConfigError(f"{option} of {label} is {value!r}, which cannot be multiplied")
        return float(value)

    def _try(self, options: ByLevel, parameter: Parameter, name: str) -> None:
        for some in options:
            _check_rate(some)
        if not any(options) or not self._levels:
            return
        trial = _replaced(self._levels, options)
        params = [Parameter(torch.zeros((2,) * parameter.ndim))]
        pairs = [(name, params[0])]
        runtime = {**self.runtime, "params": params, "named_params": pairs}
        try:
            trial.build(params, runtime=runtime)
        except BuildError:
            if len(options) == 1 and not options[0].keys() <= trial.entry.signature.parameters.keys():
                with contextlib.suppress(BuildError):  # what groups alone have (use_muon)
                    self._levels[0].build([{"params": params, **options[0]}], runtime=runtime)
                    return
            if trial.entry.component.needs is not None:
                raise
            with contextlib.suppress(BuildError):  # what was refused first is what is told
                trial.build(pairs, runtime=runtime)  # what takes pairs alone, and does not say so
                return
            raise


def _replaced(levels: Sequence[ResolvedComponent[Any]], options: Sequence[Mapping[str, Any]]) -> ResolvedComponent[Any]:
    """An optimizer with other options at each of its levels."""
    own, *inner = levels
    values = {**own.params, **options[0]}
    if inner:
        wrapped = _replaced(inner, options[1:])
        values = {key: _with(value, inner[0], wrapped) for key, value in values.items()}
    return ResolvedComponent(own.entry, values, values)


def _with(value: Any, old: object, new: object) -> Any:
    if isinstance(value, tuple):
        return tuple(_with(item, old, new) for item in value)
    return new if value is old else value


def _check_rate(options: Mapping[str, Any]) -> None:
    rate = options.get("lr")
    if isinstance(rate, int | float) and abs(rate) > torch.finfo(torch.float32).max:
        raise ConfigError(f"lr={rate:g}, which no float32 weight can be moved by")
