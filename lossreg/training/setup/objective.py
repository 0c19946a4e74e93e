"""Model and loss of a run: building them, from the seed."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import torch

from lossreg.errors import ConfigError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.registry.registries import Registries
from lossreg.run_spec import RunSpec
from lossreg.training.adapting import adapted, build_criterion
from lossreg.training.choice import Choice
from lossreg.training.data.splits import Split
from lossreg.training.hardware.distributed import Processes
from lossreg.training.hardware.precision import choose_precision
from lossreg.training.loss.data_values import with_data_values
from lossreg.training.loss.objective import Objective
from lossreg.training.parts import Samples
from lossreg.training.seeds import forked_generators, seed_construction
from lossreg.training.setup.samples import Runtime


def rebuild(
    chosen: Mapping[str, Choice],
    spec: RunSpec,
    device: torch.device,
    samples: Samples,
    runtime: Runtime,
    of: Registries,
) -> Objective:
    """Builds model and loss as a run built them, from its seed; the random generators stay as they were.

    Args:
        chosen: `model` and `loss`.
        spec: Of the run.
        device: Where they shall be.
        samples: Of the data set, or what stands for them.
        runtime: Runtime name -> value, as the run had them.
        of: Where names are looked up.

    Raises:
        LossregError: If one of them cannot be built.
    """
    with forked_generators(device):
        return build_objective(chosen, spec, device, samples, runtime, of, closure=False)


def build_objective(
    chosen: Mapping[str, Choice],
    spec: RunSpec,
    device: torch.device,
    samples: Samples,
    runtime: Runtime,
    registries: Registries,
    *,
    closure: bool,
) -> Objective:
    """Builds model and loss."""
    # Again, whatever the data set drew: the seed decides the weights of model and loss, in this order.
    seed_construction(spec.seed)
    model = _build_model(chosen["model"], runtime).to(device)
    criterion = build_criterion(chosen["loss"], runtime)
    if isinstance(criterion, torch.nn.Module):
        criterion = criterion.to(device)
    # A module that was given in evaluation mode, such as batch normalisation with fixed statistics, stays in it.
    frozen = [module for module in model.modules() if not module.training] if model.training else []
    _initialise_lazy(model, samples.splits["train"])
    precision = choose_precision(spec.precision, device, model, closure=closure)
    adapter = adapted(criterion, chosen["loss"], samples.data.task, registries)
    return Objective(model, adapter, precision, frozen)


def with_numbers(
    loss: Choice, samples: Samples, processes: Processes, of: Registries, *, quiet: bool
) -> tuple[Choice, dict[str, str]]:
    """The loss with what it asks of the training split, if it does.

    Returns:
        The loss, and `loss` -> the text that asks, if it asks for anything.
    """
    if loss.resolved is None:
        return loss, {}
    quiet = quiet or not processes.is_main
    train = samples.splits["train"]
    resolved = with_data_values(loss.resolved, loss.label, samples.data, train, processes, of.losses, quiet=quiet)
    if resolved is loss.resolved:
        return loss, {}
    return attrs.evolve(loss, resolved=resolved), {} if loss.spec is None else {"loss": loss.spec.text}


def _build_model(choice: Choice, runtime: Runtime) -> torch.nn.Module:
    model = choice.build(runtime=runtime)
    if not isinstance(model, torch.nn.Module):
        raise ConfigError(f"the model {choice.label} is not a torch.nn.Module")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"the model {choice.label} has no weight that can be trained")
    return model


def _initialise_lazy(model: torch.nn.Module, split: Split) -> None:
    """Gives lazy modules (`nn.LazyLinear`) their weights, from the generator that the seed has set."""
    if any(isinstance(p, torch.nn.parameter.UninitializedParameter) for p in model.parameters()):
        try:
            with torch.no_grad():
                model.eval()(split.head(2)[0])
        except BaseException as error:
            if is_from_outside(error):
                raise
            raise ConfigError(f"the model's lazy modules cannot be initialised: {describe_error(error)}") from error
