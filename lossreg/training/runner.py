"""`run` and `plan`: from names, spec texts and objects to a trained model and its record."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lossreg import registry
from lossreg.components import Loss
from lossreg.data import Data
from lossreg.errors import ConfigError, LossregError
from lossreg.registry import Registries
from lossreg.run_spec import COMPONENT_FIELDS, Loader, Precision, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.training.assemble import Assembler
from lossreg.training.device import resolve_device
from lossreg.training.events import Events
from lossreg.training.loop import train
from lossreg.training.processes import Processes, set_current
from lossreg.training.progress import Progress
from lossreg.training.record import Recorder, RunDirectory, describe
from lossreg.training.results import Plan, RunResult
from lossreg.training.state import Run

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

logger = logging.getLogger("lossreg")


def run(
    *,
    loss: str | ComponentSpec | Loss | nn.Module | Callable[[Tensor, Tensor], Tensor] | None = None,
    optimizer: str | ComponentSpec | Optimizer | Callable[[Iterable[nn.Parameter]], Optimizer] = "sgd",
    param_groups: Mapping[str, str | Mapping[str, Any]] | None = None,
    scheduler: str | ComponentSpec | LRScheduler | Callable[[Optimizer], LRScheduler] | None = None,
    model: str | ComponentSpec | nn.Module | None = None,
    data: str | ComponentSpec | Data = "digits",
    epochs: int = 20,
    batch_size: int = 64,
    accumulate: int = 1,
    clip_grad_norm: float | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: Precision = "auto",
    compile: bool = False,  # noqa: A002  # torch's word
    loader: Loader = "auto",
    workers: int | None = None,
    scheduler_interval: Literal["epoch", "step"] | None = None,
    limit_train: int | None = None,
    limit_test: int | None = None,
    eval_train: bool = False,
    log_every: int = 100,
    out: str | Path | None = None,
    quiet: bool = False,
    observers: Sequence[object] = (),
    registries: Registries | None = None,
) -> RunResult:
    """Trains a model and keeps the result in a run directory.

    Each component is a name (`"dice"`), a spec text (`"sgd(lr=0.1)"`), or an object. A run with an object in it cannot
    be repeated from its directory alone, which run.json says.

    Args:
        loss: The loss; None is the task's own (`cross_entropy`, or `mse` for a regression). An object is called as
            `loss(output, target)` with the data set's targets; a `lossreg.Loss` record says what it takes.
        optimizer: The optimizer; an object is an optimizer of the model's parameters, or a function that makes one.
        param_groups: Patterns over the names of parameters, and the optimizer's options for what they match:
            `{"*.bias": {"weight_decay": 0}}`; the parameters of a loss are called `loss.NAME`.
        scheduler: The learning-rate scheduler; an object is one of the optimizer, or a function that makes one.
        model: The model, trained in place if it is an object; None is the one that the data set names.
        data: The data set.
        epochs: Passes over the training split.
        batch_size: Samples of a batch, over all processes.
        accumulate: Batches whose gradients make one step.
        clip_grad_norm: The greatest Euclidean norm of all gradients together.
        seed: Seeds the initial weights and the order of samples.
        device: `auto`, `cpu`, `cuda`, `cuda:N`, `mps`.
        precision: `32`, `bf16`, `16`, or `auto`: what suits the device.
        compile: Whether model and loss are compiled with `torch.compile`.
        loader: `resident`, `dataloader`, or `auto`: resident where tensors fit.
        workers: Processes that read samples for a data loader; None is what suits the machine.
        scheduler_interval: `epoch` or `step`, instead of the scheduler's own.
        limit_train: Train on the first so many samples.
        limit_test: Evaluate on the first so many samples.
        eval_train: Whether to evaluate on the training split too.
        log_every: Steps between two log records.
        out: The run directory, absent or empty; None is `runs/<time>-<model>-<loss>-<optimizer>`.
        quiet: Whether nothing is shown on stderr but warnings.
        observers: Objects with methods named like the run hooks (`lossreg_epoch_finished(run, record)`).
        registries: Where names are looked up; None is `lossreg.losses` and its siblings.

    Raises:
        LossregError: If something is wrong with the arguments or the parts do not fit; nothing is written then.
        RunFailedError: If the training loss stops being a finite number.

    Example:
        >>> import lossreg, tempfile
        >>> result = lossreg.run(loss="dice", epochs=1, limit_train=128, out=tempfile.mkdtemp(), quiet=True)
        >>> sorted(path.name for path in result.directory.iterdir())
        ['metrics.jsonl', 'model.pt', 'run.json']
    """
    arguments = dict(locals())
    for name in ("out", "quiet", "observers", "registries"):
        del arguments[name]
    spec, objects = _split(arguments)
    if out is not None and not str(out):
        raise ConfigError("out (--out) is empty; name a directory, or leave it out")
    processes = Processes.join()
    seen = [*([] if quiet else [Progress()]), *observers]
    run, events = _prepare(lambda: _assembler(spec, objects, registries, processes, quiet), out, seen, processes)
    run.directory = processes.from_first(run.directory)
    return _train(run, events)


def _prepare(
    assembler: Callable[[], Assembler], out: str | Path | None, observers: list[object], processes: Processes
) -> tuple[Run, Events]:
    """Claims the directory and puts the run together; nothing is left if that fails, in whichever process."""
    directory: RunDirectory | None = None
    events = Events.unheard()
    try:
        with processes.agreeing():
            if out is not None and processes.leads:
                directory = RunDirectory.claim(Path(out))
            made = assembler()
            assembly = made.assemble()
            if processes.leads:
                directory = directory or RunDirectory.claim_default(assembly.labels)
                events = Events([Recorder(directory, assembly), *observers], made.builder.registries)
    except BaseException:
        if directory is not None:
            directory.release()
        raise
    if directory is None:
        return Run(assembly.spec, Path(), assembly), events  # rank 0 knows the directory
    for warning in assembly.warnings:
        logger.warning("%s", warning)
    return Run(assembly.spec, directory.path, assembly), events


def plan(
    *,
    registries: Registries | None = None,
    **arguments: Any,
) -> Plan:
    """Checks a run without starting it.

    Args:
        registries: As for `run`.
        arguments: As for `run`; `out`, `quiet` and `observers` mean nothing here.

    Returns:
        The components with every default, how they fit, and the learning rate of each epoch.

    Raises:
        LossregError: As `run` would.

    Example:
        >>> import lossreg
        >>> plan = lossreg.plan(scheduler="lambda_lr(lr_lambda='epoch // 2')", epochs=4)
        >>> [first for first, last in plan.learning_rates]
        [0.0, 0.0, 0.01, 0.01]
    """
    unknown = arguments.keys() - {field for field, _ in RunSpec().items()}
    if unknown:
        raise ConfigError(f"plan takes no argument {min(unknown)!r}")
    spec, objects = _split(arguments)
    assembly = _assembler(spec, objects, registries, Processes(), quiet=True).assemble()
    facts = describe(assembly)
    rates = assembly.rates
    return Plan(
        spec=assembly.spec,
        components=facts.pop("components"),
        contract=facts.pop("contract"),
        facts={key: value for key, value in facts.items() if key != "spec"},
        learning_rates=None if rates is None else [(rate.first, rate.last) for rate in rates],
        warnings=assembly.warnings,
    )


def _split(arguments: dict[str, Any]) -> tuple[RunSpec, dict[str, Any]]:
    """Separates what a spec can say from Python objects."""
    objects = {
        field: arguments[field]
        for field in COMPONENT_FIELDS
        if not isinstance(arguments.get(field), str | ComponentSpec | None)
    }
    settings = {key: value for key, value in arguments.items() if key not in objects}
    if "device" in settings:
        settings["device"] = str(settings["device"])
    return RunSpec(**settings), objects


def _assembler(
    spec: RunSpec, objects: dict[str, Any], registries: Registries | None, processes: Processes, quiet: bool
) -> Assembler:
    device = resolve_device(spec.device, processes.local_rank, processes.local_count)
    if processes.count > 1:
        set_current(device)  # where collectives look for it
    return Assembler(spec, objects, registries or registry.default, device, processes, quiet=quiet)


def _train(run: Run, events: Events) -> RunResult:
    started = time.perf_counter()
    try:
        events.emit("lossreg_run_started", run=run)
        rows = train(run, events)
        result = RunResult(
            metrics=rows,
            directory=run.directory,
            model=run.model,
            loss=run.loss.loss,
            spec=run.spec,
            repeatable=run.assembly.repeatable,
            seconds=time.perf_counter() - started,
            reason=run.stop_reason,
        )
        events.emit("lossreg_run_finished", run=run, result=result)
    except BaseException as error:
        failure = run.assembly.processes.explained(error, run.epoch, run.step)
        if not isinstance(failure, LossregError):
            failure.add_note(f"lossreg: at epoch {run.epoch}, step {run.step}; files in {run.directory}")
        events.emit("lossreg_run_failed", run=run, error=failure)
        if failure is not error:
            raise failure from error
        raise
    finally:
        for split in run.assembly.splits.values():
            split.close()
    return result
