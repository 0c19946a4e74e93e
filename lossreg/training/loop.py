"""The training loop. It knows tensors, a model and a loss, and nothing of files, plugins or terminals."""

from __future__ import annotations

import itertools
import logging
import math
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from lossreg.training.agenda import Interrupted
from lossreg.training.evaluate import evaluate_epoch, evaluate_test
from lossreg.training.hardware.compile import CompiledObjective
from lossreg.training.hardware.distributed import data_parallel
from lossreg.training.limits import Limits
from lossreg.training.not_finite import are_finite
from lossreg.training.optim.rates import learning_rate
from lossreg.training.optim.step import SecondOrderStep, TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lossreg.training.agenda import Agenda
    from lossreg.training.hooks import RunHooks
    from lossreg.training.optim.step import Guard
    from lossreg.training.parts import Parts
    from lossreg.training.resume.saver import Saver
    from lossreg.training.resume.session import Session
    from lossreg.training.state import Run
    from lossreg.training.weights import AveragedStep


logger = logging.getLogger("lossreg")

OVERFLOWN = 1e10  # a weight beyond this is no weight that training meant


def train(session: Session, hooks: RunHooks, saver: Saver, agenda: Agenda) -> list[dict[str, Any]]:
    """Trains until all epochs are done, a limit is reached or a hook requests a stop.

    Args:
        session: The run, where it begins or goes on.
        hooks: Are called with the rows.
        saver: Writes checkpoints.
        agenda: Says when to look up from training.

    Returns:
        The row of each epoch.

    Raises:
        RunFailedError: If the training loss, or a weight at the end, is not a finite number.
    """
    run, parts = session.run, session.run.parts
    step = session.watch.step = training_step(parts, session.watch.guard())
    limits = Limits(run)
    is_over = _is_over(session, limits)
    if session.phase == "recorded" and not is_over:
        parts.optimization.schedule.after_epoch(run.epoch, session.row)
        session.begin_epoch(run.epoch + 1)
    for epoch in () if is_over else range(session.epochs_done, parts.spec.epochs):
        parts.freezing.begin_epoch(parts.objective, epoch)
        if session.phase == "training":
            parts.weights.begin_epoch()
            train_epoch(session, step, hooks, saver, agenda, limits)
        session.row |= _evaluated(session, saver, agenda)
        session.stopping.after_epoch(session.row)  # with the weights that were evaluated
        limits.reached()
        session.end_epoch()
        hooks.call("lossreg_epoch_finished", run=run, record=session.row)
        stops = _stops(run)
        agenda.end_epoch()
        saver.after_epoch(session, is_last=stops or epoch == parts.spec.epochs - 1)
        agenda.end_by_signal()
        if stops:
            break
        parts.optimization.schedule.after_epoch(epoch, session.row)
        if epoch < parts.spec.epochs - 1:
            session.begin_epoch(epoch + 1)
    kept = session.stopping.restore(session.rows)
    if not all(are_finite([*parts.objective.trainable().values(), *parts.objective.buffers()])):
        session.watch.check_weights()  # the last step spoilt them, and no checkpoint looked
    run.tested = _tested(session, kept, agenda)
    _warn_of_overflow(parts, kept)
    return session.rows


def _is_over(session: Session, limits: Limits) -> bool:
    """Whether a run that goes on after an epoch was broken off as it ended."""
    run = session.run
    if session.phase != "recorded":
        return False
    if not session.is_lengthened:
        session.stopping.go_on(session.row)
    limits.reached()
    return _stops(run) or run.epoch + 1 >= run.spec.epochs


def _evaluated(session: Session, saver: Saver, agenda: Agenda) -> dict[str, Any]:
    """What evaluation adds to the row of an epoch; begun again where a signal that ends no run broke it off."""
    parts = session.run.parts
    if session.phase == "training":
        parts.processes.broadcast_buffers(parts.objective)  # one model is evaluated, and kept
        session.row["weights"] = parts.weights.end_epoch(session.run.epoch)
        session.begin_evaluation()
    while True:
        try:
            return evaluate_epoch(parts, agenda.interrupt_evaluation)
        except Interrupted:
            session.break_off()
            saver.save(session)
            agenda.end_by_signal()


def _tested(session: Session, kept: Mapping[str, Any], agenda: Agenda) -> dict[str, Any] | None:
    """The row of the test split; the last checkpoint is all that a run goes on from if a signal breaks it off."""
    parts = session.run.parts
    counted = parts.samples.evaluations.copy()
    while True:
        try:
            return evaluate_test(parts, kept, agenda.interrupt_evaluation)
        except Interrupted:
            parts.samples.evaluations["test"] = counted["test"]
            agenda.end_by_signal()


def _warn_of_overflow(parts: Parts, row: Mapping[str, Any]) -> None:
    """A step that overflows shows in the loss of the next; the last has none."""
    weights = [one.detach().abs().max() for one in parts.objective.trainable().values() if one.numel()]
    greatest = max(map(float, weights), key=lambda number: math.inf if math.isnan(number) else number, default=0.0)
    seen = "validation" if "validation_loss" in row else "test"
    loss = row[f"{seen}_loss"]
    if (loss is not None and math.isfinite(greatest)) or not parts.processes.is_main:
        return
    logger.warning(
        "the %s loss is %s after the last step (epoch %d), and the greatest weight is %g%s",
        seen,
        "not a finite number" if loss is None else f"{loss:g}",
        row["epoch"],
        greatest,
        "" if greatest < OVERFLOWN else ": training overflowed in its last steps; a lower learning rate may help",
    )


def training_step(parts: Parts, guard: Guard | None = None) -> TrainingStep | AveragedStep:
    """What makes the steps of a run.

    Args:
        parts: The parts of the run.
        guard: What checks before every update, or None.
    """
    needs = parts.optimization.needs
    step = (SecondOrderStep if needs.create_graph else TrainingStep)(
        objective=_computation(parts),
        parameters=list(parts.objective.trainable().values()),
        optimizer=parts.optimization.optimizer,
        reduction=parts.fit.reduction,
        processes=parts.processes,
        is_whole=parts.samples.plan.is_whole,
        closure=needs.closure,
        gradients_first=needs.gradients,
        batch_norms=[one for one in parts.objective.modules() if isinstance(one, _BatchNorm)],
        clip=parts.spec.clip_grad_norm,
        scaler=parts.optimization.scaler,
        guard=guard,
    )
    return parts.weights.wrapped(step)


def _computation(parts: Parts) -> Callable[[Tensor, Tensor], Tensor]:
    """From a batch to its loss.

    Several processes exchange gradients on the way back; all of them call this at the same time.
    """
    shared = parts.processes.world_size > 1
    module: torch.nn.Module = parts.objective
    if shared:
        module = data_parallel(module, parts.device, find_unused=parts.fit.unused or bool(parts.freezing.epochs))
    if parts.spec.compile:
        return CompiledObjective(module, parts.samples.plan.largest, parts.device)
    # Alone, the method itself: no hook of a module can be on the objective.
    return module if shared else parts.objective.forward


def train_epoch(
    session: Session,
    step: TrainingStep | AveragedStep,
    hooks: RunHooks,
    saver: Saver,
    agenda: Agenda,
    limits: Limits,
) -> None:
    """Trains one epoch, or what is left of it, and makes its row, without what evaluation adds.

    Raises:
        RunFailedError: If the training loss is no longer a finite number.
    """
    run, parts = session.run, session.run.parts
    plan, schedule = parts.samples.plan, parts.optimization.schedule
    counts_steps, is_over = schedule.counts_steps, limits.reached if limits.are_set else None
    mean = session.mean
    batches = parts.samples.splits["train"].epoch(
        plan, parts.spec.seed, run.epoch, skipped=plan.micro_batches(session.done)
    )
    parts.objective.train()
    first, before = run.step - session.done, session.seconds
    samples = sum(one.samples for one in itertools.islice(plan, session.done))
    is_first, stops = session.done == 0, False
    started = time.perf_counter()
    # Steps that log nothing do nothing but train: no hook, no copy to the CPU, nothing that waits for the device.
    steps = () if session.done and is_over is not None and is_over() else plan.after(session.done)
    for step_plan in steps:
        if counts_steps and not is_first:
            schedule.between_steps()
        is_first = False
        loss, weight = step(batches, step_plan)
        mean.add(loss, weight)
        samples += step_plan.samples
        run.step += 1
        if run.step >= agenda.next:
            session.done = run.step - first
            session.seconds = before + time.perf_counter() - started
            stops = _looks_up(session, step, loss, hooks, saver, agenda)
        if is_over is not None and is_over():
            session.done = run.step - first
            stops = True
        if stops:
            saver.break_off(session)
            break
    train_loss = session.watch.checked(
        mean.result(parts), mean.began_well
    )  # waits for the device, so the clock is right
    session.done, session.seconds = run.step - first, before + time.perf_counter() - started
    session.row = {
        "kind": "epoch",
        "epoch": run.epoch,
        "step": run.step,
        "lr": learning_rate(run.optimizer),
        "train_loss": train_loss,
        "samples_per_second": samples / session.seconds,
        "seconds": session.seconds,
    }


def _looks_up(
    session: Session,
    step: TrainingStep | AveragedStep,
    loss: Tensor,
    hooks: RunHooks,
    saver: Saver,
    agenda: Agenda,
) -> bool:
    """Between two steps: logs the last one and writes a checkpoint if that is due; says whether the epoch ends here."""
    run = session.run
    stops = False
    if run.step % run.spec.log_every == 0:
        hooks.call("lossreg_logged", run=run, record=_step_row(session, step, loss))
        stops = _stops(run)
    agenda.look_up(run.step)
    saver.between_steps(session)
    agenda.end_by_signal()
    return stops


def _step_row(session: Session, step: TrainingStep | AveragedStep, loss: Tensor) -> dict[str, Any]:
    run = session.run
    row = {
        "kind": "step",
        "epoch": run.epoch,
        "step": run.step,
        "lr": learning_rate(run.optimizer),
        "train_loss": session.watch.checked(
            run.parts.processes.all_reduce(loss.clone()).item(), session.mean.began_well
        ),
    }
    return row if step.gradient_norm is None else {**row, "gradient_norm": step.gradient_norm.item()}


def _stops(run: Run) -> bool:
    """Whether a hook wants the run to end: hooks are called in the main process, and all processes end together."""
    run.stop_reason = run.parts.processes.broadcast_object(run.stop_reason)
    return run.stop_reason is not None
