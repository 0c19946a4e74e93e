"""Which optimizer trains what: that of the run, that of the rest, those of groups; each with a scheduler of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from lossreg.errors import ConfigError, LossregError, UnknownNameError, UnknownParameterError
from lossreg.groups import REST, SCHEDULER, ParamGroup
from lossreg.registry.levels import Routed, routed
from lossreg.registry.registries import Registries
from lossreg.spec import ComponentSpec
from lossreg.training.choice import Choice, choose_named
from lossreg.values import shown

DEFAULT_REST = "adamw"

#: What the parameters are called that an optimizer is for.
ROUTED: Mapping[str, str] = {
    "matrices": "matrices",
    "weights": "parameters of two dimensions or more",
    "hidden_matrices": "hidden matrices",
    "hidden_weights": "hidden parameters of two dimensions or more",
}


def choose_optimizer(spec: ComponentSpec, registries: Registries) -> Choice:
    """The optimizer of the run; one that is not for all parameters with the one that trains the rest."""
    try:
        found = routed(registries.optimizers, spec)
        if found.entry is None:
            return _scheduled_optimizer(spec, registries)
        rest = _rest(found)
    except LossregError as error:
        error.setting = error.setting or "optimizer"
        raise
    choice = _scheduled_optimizer(found.spec, registries)
    trains_rest = _scheduled_optimizer(rest or ComponentSpec(DEFAULT_REST), registries)
    return attrs.evolve(choice, rest=trains_rest, rest_is_named=rest is not None)


def _rest(found: Routed) -> ComponentSpec | None:
    """The optimizer that the spec names for the rest, or None."""
    name = "" if found.entry is None else found.entry.name
    if len(found.written) > 1:
        raise ConfigError(f"{found.spec.name}: rest is given twice, to it and to what it wraps; write it once")
    written = found.written[0] if found.written else None
    rest = ComponentSpec.parse(written) if isinstance(written, str) else written
    if rest is not None and not isinstance(rest, ComponentSpec):
        raise ConfigError(f"{name}: rest={shown(written)} is not an optimizer, such as {DEFAULT_REST}(lr=0.001)")
    return rest


def _scheduled_optimizer(spec: ComponentSpec, registries: Registries) -> Choice:
    """An optimizer, with a scheduler of its own if the spec names one."""
    params = dict(spec.params)
    entry = registries.optimizers.get(spec.name)
    if entry is None or SCHEDULER not in params or SCHEDULER in entry.signature.parameters:
        try:
            return choose_named("optimizer", spec, registries)
        except UnknownParameterError as error:
            if error.parameter == SCHEDULER:  # of one that is wrapped: an optimizer's own is taken out below
                error.message += f"; the rates are those of what wraps it: write {spec.name}(..., {SCHEDULER}=...)"
            raise
    written = params.pop(SCHEDULER)
    choice = choose_named("optimizer", ComponentSpec(spec.name, params, spec.nested), registries)
    try:
        scheduler = ComponentSpec.parse(written) if isinstance(written, str) else written
        if not isinstance(scheduler, ComponentSpec):
            raise ConfigError(
                f"{shown(written)} is not a scheduler, such as cosine(); constant(factor=1.0) keeps the rate"
            )
        return attrs.evolve(choice, scheduler=choose_named("scheduler", scheduler, registries))
    except LossregError as error:
        error.message = f"{SCHEDULER} of {entry.name}: {error.message}"
        error.setting = "optimizer"
        raise


def choose_for_group(group: ParamGroup, registries: Registries) -> Choice:
    """The optimizer that a group of parameters has of its own."""
    assert group.optimizer is not None  # noqa: S101  # the caller has looked
    try:
        return _scheduled_optimizer(group.optimizer, registries)
    except LossregError as error:
        if isinstance(error, UnknownParameterError) and error.parameter == REST:
            error.message += "; in a group an optimizer trains all that the pattern matches, and leaves no rest"
        if group.optimizer.name == REST and isinstance(error, UnknownNameError):
            error.message += (
                "; the word rest stands alone, and names what trains the rest where the optimizer is not for all "
                "parameters, as in muon(rest=adamw)"
            )
        hint = "" if group.optimizer.params else " (options are written KEY=VALUE, ...)"
        error.message = f"param_groups: {group.pattern!r}{hint}: {error.message}"
        error.setting = "param_groups"
        raise


def check_closures(optimizers: Sequence[Choice | None]) -> None:
    """Checks that an optimizer that computes the loss again in its steps is the only one."""
    present = [choice for choice in optimizers if choice is not None]
    for choice in present:
        if len(present) > 1 and choice.component is not None and choice.component.closure:
            error = must_be_alone(choice)
            error.setting = "optimizer" if choice is present[0] else "param_groups"
            raise error


def must_be_alone(choice: Choice) -> ConfigError:
    """The error of one of several optimizers that computes the loss again in its steps."""
    instead = "use it alone"
    if choice.rest is not None:
        instead = (
            f"{choice.routed.name} trains {ROUTED[choice.routed.routes]} only, and {choice.rest.label} would train the "
            "rest; use an optimizer that is for all parameters, such as sgd, in its place"
        )
    return ConfigError(
        f"the optimizer {choice.label} computes the loss again in each of its steps (closure), so it cannot be one of "
        f"several; {instead}"
    )
