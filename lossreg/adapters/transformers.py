"""Hugging Face: a Trainer whose loss, optimizer and schedule are picked by name. Tried with transformers 5.24."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transformers import Trainer, TrainingArguments

from lossreg.adapters.transformers_labels import shifts_labels
from lossreg.embedding.arguments import check_given, check_model, check_parts
from lossreg.embedding.counted import Calls, begin_rates
from lossreg.embedding.host_scheduler import HostScheduler
from lossreg.embedding.needs import check_needs
from lossreg.embedding.overruled import warn_overruled
from lossreg.errors import ConfigError
from lossreg.values import shown

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from lossreg.embedding.host_loss import HostLoss
    from lossreg.embedding.host_parts import HostParts

HOST = "the Trainer of Hugging Face"
_CALL = "PartsTrainer(parts=parts, model=model, args=args)"

IGNORED = -100  # the label that does not count, for all of transformers

#: Fields of TrainingArguments that the parts stand for -> what is written in their place.
_INSTEAD = {
    "learning_rate": "lr in the text of the optimizer",
    "weight_decay": "weight_decay in the text of the optimizer, and param_groups={'no_decay': True}",
    "adam_beta1": "betas in the text of the optimizer",
    "adam_beta2": "betas in the text of the optimizer",
    "adam_epsilon": "eps in the text of the optimizer",
    "optim": "the optimizer",
    "optim_args": "the text of the optimizer",
    "optim_target_modules": "patterns in param_groups",
    "lr_scheduler_type": "the scheduler",
    "lr_scheduler_kwargs": "the text of the scheduler",
    "warmup_steps": "warmup(..., length=N) as the scheduler",
    "label_smoothing_factor": "label_smoothing in the text of the loss",
}


class PartsTrainer(Trainer):  # type: ignore[misc]  # transformers may be missing where types are checked
    """A Trainer with the parts of `lossreg.parts`.

    Schedules that count epochs count them, although the Trainer steps its scheduler after each step of the optimizer.
    The loss of a step is right under gradient accumulation: the mean over all labels of the step that count, or their
    sum.

    Args:
        model: As for `transformers.Trainer`.
        args: As for `transformers.Trainer`.
        parts: Loss, optimizer and schedule; without a loss the model's own is taken.
        fused: As for `HostParts.optimizer`.
        settings: As for `transformers.Trainer`.

    Raises:
        ConfigError: If the arguments name what the parts stand for, or the optimizer needs what the Trainer does not
            do.
    """

    optimizer: Any
    lr_scheduler: Any
    label_names: Any

    def __init__(
        self, model: Any = None, args: Any = None, *, parts: HostParts, fused: bool = False, **settings: Any
    ) -> None:
        check_parts(parts, _CALL)
        if model is not None:  # else there is model_init, which the Trainer looks at
            check_model(model, _CALL)
        check_given(args is None or isinstance(args, TrainingArguments), args, _CALL, "args are TrainingArguments")
        _check_settings(settings)
        _check_arguments(args)
        check_needs(parts, HOST, closures=False, modes=True)
        if parts.has_loss:
            if any(True for _ in parts.loss.parameters()):
                raise ConfigError(
                    f"the loss {parts.texts['loss']} has weights of its own, which {HOST} does not save; make them "
                    "part of the model"
                )
            settings["compute_loss_func"] = self._loss_of
        self.parts, self.fused, self._has_modes = parts, fused, parts.needs.modes
        self._given = parts  # before the Trainer has told them anything; another training may have other epochs
        super().__init__(model, args, **settings)
        self._devices = max(1, self.args.n_gpu)  # of DataParallel
        if parts.has_loss:
            # Of a model that does not take them the Trainer leaves labels out.
            self.label_names = self.label_names or ["labels"]
            parts.loss.to(self.args.device)
            said = getattr(self, "_loss_shifts_labels", False)  # the Trainer counts labels by it
            self._loss_shifts_labels = shifts_labels(self.model, said=said)
            self._summed = _summed(parts.loss)
            self._is_sum: bool | None = None  # the first batch shows it

    def compute_loss(self, *arguments: Any, **named: Any) -> Any:
        """The loss of a batch, of the parts or the model's own.

        Raises:
            ConfigError: If the parts name no loss, and the model gives none.
        """
        try:
            return super().compute_loss(*arguments, **named)
        except ValueError as error:
            if self.parts.has_loss or "did not return a loss" not in str(error):
                raise
            raise ConfigError(
                "the parts name no loss, and the model gives none: write lossreg.parts(loss=...)"
            ) from error

    def _loss_of(self, outputs: Any, labels: Tensor | None, num_items_in_batch: Any = None) -> Tensor:
        """The loss of a micro-batch, as its share of the step."""
        if labels is None:
            raise ConfigError("the batch has no labels, which the loss needs; the data set gives them as 'labels'")
        if isinstance(outputs, dict):
            logits = _logits_of(outputs)
        else:
            logits = outputs[0] if isinstance(outputs, tuple) else outputs
        if self._loss_shifts_labels:  # of causal language models: each token is the next one's label
            logits, labels = logits[..., :-1, :], labels[..., 1:]
        if labels.ndim > 1 and logits.ndim == labels.ndim + 1:
            logits = logits.movedim(-1, 1)  # transformers has classes last, torch's losses behind the batch
        counted = num_items_in_batch
        if counted is not None and self._devices > 1:
            # The outputs are those of all devices of DataParallel. The Trainer takes the loss for that of one of them:
            # it has divided the labels of the step by their number, or multiplies the loss by it.
            counted = counted.flatten()[0] * self._devices
        if counted is not None and self._summed is not None:
            share: Tensor = self._summed(logits, labels) / counted
            return share
        value: Tensor = self.parts.loss(logits, labels)
        return value * self._share(logits, labels, counted)

    def _share(self, logits: Tensor, labels: Tensor, counted: Tensor | int | None) -> Tensor | float:
        """What the loss of a micro-batch is multiplied by: a sum is added up, and a mean has the weight of its labels.

        The Trainer adds up the processes where it has counted the labels of all, and multiplies by the devices of one.
        """
        if counted is None and not self.model.training:
            return 1.0
        if self._is_sum is None:
            self._is_sum = self.parts.loss.is_sum(logits, labels)
        if self._is_sum:
            return 1 / self._devices if counted is not None and self.args.average_tokens_across_devices else 1.0
        if counted is not None:
            return labels.ne(IGNORED).sum() / counted
        return 1 / getattr(self, "current_gradient_accumulation_steps", 1)  # which there is once train() is called

    def set_initial_training_values(self, args: Any, dataloader: Any) -> Any:
        """What the Trainer finds of its loop is told to the parts."""
        _check_arguments(self.args)  # a search over hyperparameters has set some
        values = super().set_initial_training_values(args, dataloader)
        epochs, per_epoch, *_, steps = values
        if steps < 1:
            raise ConfigError(
                f"num_train_epochs={shown(args.num_train_epochs)} of TrainingArguments leaves nothing to train; write "
                "1 or more, or call evaluate() alone"
            )
        known = epochs not in (None, sys.maxsize) and per_epoch is not None
        told = {"epochs": math.ceil(epochs), "steps_per_epoch": int(per_epoch)} if known else {}
        self.parts = self._given.for_loop(**told, total_steps=int(steps))
        warn_overruled(self._given, self.parts, HOST)
        return values

    def save_model(self, *arguments: Any, **named: Any) -> None:
        """Saves the weights to evaluate: of itself the Trainer switches an optimizer with modes only to evaluate."""
        self._switch_to_evaluation()
        super().save_model(*arguments, **named)

    def _finalize_training(self, *arguments: Any, **named: Any) -> Any:
        """Leaves the model with the weights to evaluate; before those of the best checkpoint are loaded."""
        self._switch_to_evaluation()
        return super()._finalize_training(*arguments, **named)

    def _switch_to_evaluation(self) -> None:
        if self._has_modes and self.optimizer is not None:
            self.optimizer.eval()  # before each step the Trainer calls train()

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """The optimizer of the parts."""
        if self.optimizer is None:
            self.optimizer = self.parts.optimizer(self.model if model is None else model, fused=self.fused)
        built: Optimizer = self.optimizer
        return built

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> Any:  # noqa: ARG002  # the Trainer gives it
        """The schedule of the parts; a constant rate without one."""
        if self.lr_scheduler is None:
            given = self.optimizer if optimizer is None else optimizer
            given = getattr(given, "optimizer", given)  # Accelerate has put its own around it
            begin_rates(given)  # where train() is called again, a new schedule begins, as the Trainer's own does
            self.lr_scheduler = self.parts.scheduler(given, each="step") or ConstantRate(given)
            self.lr_scheduler.goes_on_by = "step"  # the Trainer goes on after as many steps, whatever an epoch has
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Loads their states; a checkpoint of the model alone has none, and the Trainer counts on all the same."""
        super()._load_optimizer_and_scheduler(checkpoint)
        scheduler = self.lr_scheduler
        if checkpoint is not None and isinstance(scheduler, HostScheduler) and not scheduler.last_epoch:
            scheduler.begin_after(self.state.global_step)


class ConstantRate(HostScheduler):
    """No schedule, as one: the Trainer has to have it, and saves its state."""

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer, (), Calls("step", None, (), None), ())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a state of a constant rate, also from the one of transformers in earlier checkpoints.

        Raises:
            StateError: If it is that of a schedule.
        """
        if "lr_lambdas" in state_dict and state_dict.get("_last_lr") == state_dict.get("base_lrs"):
            state_dict = {"calls": state_dict["last_epoch"], "schedules": []}
        super().load_state_dict(state_dict)


def _check_settings(settings: dict[str, Any]) -> None:
    """Checks that nothing is named twice."""
    for name in ("optimizers", "optimizer_cls_and_kwargs", "compute_loss_func"):
        if settings.get(name) not in (None, (None, None)):
            raise ConfigError(
                f"{name} has no effect on a PartsTrainer, whose parts give optimizer and loss; leave it out"
            )


def _check_arguments(args: Any) -> None:
    """Checks that no argument names what the parts stand for."""
    for field in dataclasses.fields(args) if dataclasses.is_dataclass(args) else ():
        if field.name not in _INSTEAD or field.default is dataclasses.MISSING:
            continue
        value = getattr(args, field.name)
        if value != field.default and value:
            raise ConfigError(
                f"{field.name}={value!r} of TrainingArguments has no effect on a PartsTrainer; write "
                f"{_INSTEAD[field.name]}"
            )


def _logits_of(outputs: Mapping[str, Any]) -> Any:
    """What the loss takes of the outputs of a model.

    Raises:
        ConfigError: If they have no logits.
    """
    if "logits" not in outputs:
        raise ConfigError(
            f"the model gives {_named(outputs)}, and the loss takes 'logits': have its forward return them by this "
            "name, as models with a head do (AutoModelForSequenceClassification and the like)"
        )
    return outputs["logits"]


def _named(outputs: Any) -> str:
    return ", ".join(shown(name) for name in outputs) or "nothing"


def _summed(loss: HostLoss) -> HostLoss | None:
    """The loss as a sum, where its mean is over the labels that count, which transformers counts for a step."""
    adapter = loss.adapter
    weighted = getattr(adapter.criterion, "weight", None) is not None
    if adapter.averages != "sample" or adapter.ignore_index != IGNORED or weighted:
        return None
    return loss.summed()
