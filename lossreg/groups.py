"""Parameter groups as a person writes them: a pattern, and what is done differently with what matches it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from lossreg.errors import ConfigError, SpecError
from lossreg.names import normalize
from lossreg.patterns import parse_pattern
from lossreg.spec import ComponentSpec, Table, Value, frozen_params, params_text
from lossreg.spec_hints import ClassPathError, RangeError, unbalanced
from lossreg.spec_text import parse_params
from lossreg.suggestions import close_matches
from lossreg.values import decimal_comma_hint, shown

NO_DECAY = "no_decay"
LAYER_DECAY = "layer_decay"
REST = "rest"  # of an optimizer's spec, read by the runner: what trains the parameters that it is not for
SCHEDULER = "scheduler"  # the same: the scheduler that moves its rates alone

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FACTOR = re.compile(rf"x({_NUMBER})", re.ASCII)
_WRITTEN_FACTOR = re.compile(rf"=\s*x({_NUMBER})\s*(?=,|$)", re.ASCII)
_OF_LEVEL = re.compile(r"(^|,)\s*([A-Za-z_]\w*)\.([A-Za-z_]\w*)\s*(?==(?!=))", re.ASCII)
_SPEC = re.compile(r"[A-Za-z_][\w.\-]*\s*(\(.*\))?", re.ASCII | re.DOTALL)
_LAYER_DECAY = re.compile(rf"{LAYER_DECAY}\s*(?:\((.*)\))?", re.ASCII | re.DOTALL)


@attrs.frozen
class ParamGroup:
    """Parameters, and what is done differently with them.

    Attributes:
        pattern: The canonical text of a pattern (`lossreg.patterns`), or a preset: `no_decay`, `layer_decay(0.75)`.
        options: Parameters of the optimizer for this group, as pairs sorted by key; the text `x0.1` is a factor. Those
            that say whose they are (`sam.rho=0.1`) are a table under that name.
        optimizer: The group's own optimizer, or None; `rest` is the one that trains what the run's is not for.
        layer_decay: The factor from each layer to the one below it, of the preset; otherwise None.
    """

    pattern: str
    options: tuple[tuple[str, Value], ...] = ()
    optimizer: ComponentSpec | None = None
    layer_decay: float | None = None

    @property
    def is_preset(self) -> bool:
        """Whether the pattern is the name of a preset."""
        return self.layer_decay is not None or self.pattern == NO_DECAY

    @property
    def goes_to_rest(self) -> bool:
        """Whether it is trained by what trains the rest, where the optimizer of the run is not for all parameters."""
        return self.optimizer is not None and self.optimizer.text == REST

    @property
    def value(self) -> str | bool:
        """What stands behind the pattern in TOML and JSON."""
        if self.is_preset:
            return True
        return options_text(self.options) if self.optimizer is None else self.optimizer.text


def factor_of(value: object) -> float | None:
    """The number that an option is multiplied by, if it is written as a factor.

    Example:
        >>> factor_of("x0.1"), factor_of(0.1)
        (0.1, None)
    """
    found = _FACTOR.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) if found and math.isfinite(float(found[1])) else None


def options_text(options: tuple[tuple[str, Value], ...]) -> str:
    """The canonical text of options.

    Example:
        >>> options_text((("lr", "x0.1"), ("weight_decay", 0)))
        'lr=x0.1, weight_decay=0'
    """
    pairs = [pair for key, value in options for pair in _flat(key, value)]
    return ", ".join(
        f"{key}={value}" if factor_of(value) is not None else f"{key}{params_text((('', value),))}"
        for key, value in pairs
    )


def _flat(key: str, value: Value) -> list[tuple[str, Value]]:
    """An option, or those that a table has for one optimizer, as `NAME.OPTION`."""
    if isinstance(value, Table) and value and all(isinstance(one, str) and one.isidentifier() for one in value):
        return [(f"{key}.{one}", inner) for one, inner in value.items()]
    return [(key, value)]


def parse_groups(value: Any) -> tuple[ParamGroup, ...]:
    """Reads the setting `param_groups`: a mapping from patterns to texts or tables.

    Raises:
        ConfigError: If it is something else.
    """
    if value is None or (isinstance(value, str) and normalize(value) == "none"):
        return ()
    if isinstance(value, tuple) and all(isinstance(group, ParamGroup) for group in value):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"param_groups maps patterns to options, such as {{'*.bias': 'weight_decay=0'}}; it is not {shown(value)}"
        )
    groups: dict[str, ParamGroup] = {}
    for pattern, options in value.items():
        group = _group(pattern, options)
        if group.pattern in groups or (group.layer_decay and any(one.layer_decay for one in groups.values())):
            what = f"the preset {LAYER_DECAY}" if group.layer_decay else shown(group.pattern)
            raise ConfigError(f"param_groups: {what} is given twice")
        groups[group.pattern] = group
    return tuple(groups.values())


def preset_of(text: str) -> ParamGroup | None:
    """The preset that a text names, or None.

    Raises:
        ConfigError: If its number is wrong.

    Example:
        >>> preset_of("layer_decay( .75 )").pattern, preset_of("*.bias")
        ('layer_decay(0.75)', None)
    """
    if normalize(text) == NO_DECAY:
        return ParamGroup(NO_DECAY)
    found = _LAYER_DECAY.fullmatch(text.strip())
    if found is None:
        return None
    number = re.fullmatch(_NUMBER, (found[1] or "").strip(), re.ASCII)
    decay = float(number[0]) if number else 0.0
    if not 0 < decay <= 1:
        raise ConfigError(
            f"param_groups: {shown(text)}: write layer_decay(X), where X, the factor from each layer to the one below "
            "it, is greater than 0 and at most 1, such as layer_decay(0.75)"
        )
    return ParamGroup(f"{LAYER_DECAY}({decay!r})", layer_decay=decay)


def has_own_scheduler(optimizer: ComponentSpec | None, groups: tuple[ParamGroup, ...] = ()) -> bool:
    """Whether an optimizer, its `rest`, what it wraps or that of a group has a scheduler of its own.

    Example:
        >>> has_own_scheduler(ComponentSpec.parse("muon(rest=adamw(scheduler=cosine))"))
        True
    """
    params = dict(optimizer.params) if optimizer is not None else {}
    inner = (*params.values(), *(optimizer.nested if optimizer is not None else ()))
    return (
        SCHEDULER in params
        or any(isinstance(one, ComponentSpec) and has_own_scheduler(one) for one in inner)
        or any(has_own_scheduler(group.optimizer) for group in groups)
    )


def _group(pattern: object, options: object) -> ParamGroup:
    if not isinstance(pattern, str) or not pattern.strip():
        raise ConfigError(f"param_groups: {shown(pattern)} is not a pattern over names of parameters, such as '*.bias'")
    preset = preset_of(pattern)
    if preset is not None:
        if options is True or (isinstance(options, str | Mapping | None) and not options):
            return preset
        if options is False:
            raise ConfigError(
                f"param_groups: {preset.pattern} is a preset, which stands with True; it is not False: take it out, or "
                "write True"
            )
        raise ConfigError(f"param_groups: {preset.pattern} is a preset; it takes no options, not {shown(options)}")
    meant = _meant_preset(pattern)
    try:
        text = parse_pattern(pattern.strip()).text
    except ConfigError as error:
        error.message = f"param_groups: {error.message}{meant}"
        raise
    if isinstance(options, ComponentSpec) or (isinstance(options, str) and _SPEC.fullmatch(options.strip())):
        return ParamGroup(text, optimizer=_optimizer(pattern, options))
    if callable(options) or hasattr(options, "step"):
        raise ConfigError(
            f"param_groups: {shown(pattern)} has {shown(options)}; the optimizer of a group is named by a text, such "
            "as 'adam(lr=0.001)', and a class of your own gets a name with @lossreg.optimizers.register"
        )
    if not options or not isinstance(options, str | Mapping):
        instead = meant or "; write, for example, 'weight_decay=0'"
        raise ConfigError(f"param_groups: {shown(pattern)} has the options {shown(options)}{instead}")
    return ParamGroup(text, _options(pattern, options))


def _meant_preset(pattern: str) -> str:
    """The preset whose name a pattern nearly is, as the end of a message, or nothing."""
    name, bracket, number = pattern.strip().partition("(")
    written = normalize(name).replace("_", "").strip()
    near = close_matches(written, [one.replace("_", "") for one in (NO_DECAY, LAYER_DECAY)])
    if not near:
        return ""
    preset = NO_DECAY if near[0] == NO_DECAY.replace("_", "") else f"{LAYER_DECAY}{bracket or '(0.75'}{number or ')'}"
    return f"; did you mean the preset {preset}?"


def _optimizer(pattern: str, spec: str | ComponentSpec) -> ComponentSpec:
    try:
        return spec if isinstance(spec, ComponentSpec) else ComponentSpec.parse(spec)
    except SpecError as error:
        raise ConfigError(f"param_groups: {shown(pattern)}: {error.message}") from error


def _options(pattern: str, options: str | Mapping[str, Any]) -> tuple[tuple[str, Value], ...]:
    try:
        if isinstance(options, Mapping):
            return frozen_params(_by_level(options.items()))
        return _parsed(_WRITTEN_FACTOR.sub(r"='x\1'", options))
    except SpecError as error:
        written = f"param_groups: {shown(pattern)} has the options {shown(options)}"
        if error.why.endswith("is given twice"):
            raise ConfigError(f"{written}: {error.why}; write it once") from error
        if isinstance(error, RangeError):
            raise ConfigError(f"param_groups: {shown(pattern)}: {error.message}") from error
        why = error.message if "NaN" in error.message else decimal_comma_hint(str(options).partition("=")[2])[2:]
        why = why or (unbalanced(options) if isinstance(options, str) else "")
        hint = error.hint if isinstance(error, ClassPathError) else ""
        raise ConfigError(
            f"{written}, which are neither KEY=VALUE, ... such as 'weight_decay=0, lr=0.1', nor an optimizer such as "
            f"'adam(lr=0.001)'{why and f': {why}'}{hint}"
        ) from error


def _parsed(text: str) -> tuple[tuple[str, Value], ...]:
    """Reads options, of which some may say whose they are: `sam.rho=0.1`."""
    try:
        return parse_params(text)
    except SpecError:
        if not _OF_LEVEL.search(text):
            raise
    written = [(name, option) for _, name, option in _OF_LEVEL.findall(text)]
    _refuse_twice([f"{name}.{option}" for name, option in written])
    joined = {f"{name}__{option}": f"{name}.{option}" for name, option in written}
    pairs = parse_params(_OF_LEVEL.sub(r"\1\2__\3", text))
    return frozen_params(_by_level((joined.get(key, key), value) for key, value in pairs))


def _by_level(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Options, with those under `NAME.OPTION` in a table under the name."""
    options: dict[Any, Any] = {}
    for key, value in pairs:
        name, dot, option = key.partition(".") if isinstance(key, str) else (key, "", "")
        if not dot or not name or not option:
            options[key] = value
        elif isinstance(options.setdefault(name, {}), Mapping) and option not in options[name]:
            options[name] = {**options[name], option: value}
        else:
            _refuse_twice([key, key])
    return options


def _refuse_twice(keys: list[str]) -> None:
    for key in keys:
        if keys.count(key) > 1:
            raise SpecError(f"{key} is given twice", text=key, why=f"{key} is given twice")
