"""What `run` and `plan` return."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import torch

from lossreg.run_spec import LISTED_FIELDS, RunSpec
from lossreg.spec import ComponentSpec, texts_of
from lossreg.training.optim.needs import Needs
from lossreg.training.optim.rates import EpochRates
from lossreg.values import finite, one_line

MAX_NAMES = 8  # names of parameters in a line of a plan's text
MAX_RATES = 100  # lines of learning rates in a plan's text


@attrs.frozen(eq=False)
class RunResult:
    """A run that is over.

    Attributes:
        metrics: One row for each epoch, as in `metrics.jsonl`: epoch, step, lr, train_loss, test_loss, test_accuracy
            or test_mean_absolute_error (with a validation split validation_loss and so on instead),
            samples_per_second, seconds; with `eval_train` also train_loss_after and train_accuracy or
            train_mean_absolute_error, of the weights at the epoch's end. Each metric that the run names is there, too:
            test_f1.
        directory: The run directory.
        model: The trained model, on the run's device; with the weights that `final["weights"]` names.
        loss: The loss; its own weights, if it has any, were trained with the model's.
        spec: What decided the run, with full ids.
        repeatable: Whether the run directory is enough to repeat it.
        seconds: How long the run took, from the first step to the last evaluation.
        reason: Why it ended early, or None.
        best_epoch: The epoch whose weights the model has, for a run with `patience`; None is the last.
        tested: The row of the test split, which a run with a validation split reads at its end; else None.
        test_read: How often the test split was evaluated.
        chosen_on: The split by which something was chosen: `validation`, `test`, `train`, or None.
    """

    metrics: list[dict[str, Any]]
    directory: Path
    model: torch.nn.Module = attrs.field(repr=False)
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = attrs.field(repr=False)
    spec: RunSpec = attrs.field(repr=False)
    repeatable: bool
    seconds: float
    reason: str | None = None
    best_epoch: int | None = None
    tested: dict[str, Any] | None = None
    test_read: int = 0
    chosen_on: str | None = None

    @property
    def final(self) -> dict[str, Any]:
        """The metrics of the model: the row of the best epoch, or of the last one, and those of the test split."""
        kept = (row for row in self.metrics if row["epoch"] == self.best_epoch)
        return final_row(next(kept, self.metrics[-1]), self.tested)

    def to_json(self) -> dict[str, Any]:
        """The result as plain values; a number that is not finite, which JSON does not have, is None."""
        return {
            "directory": str(self.directory),
            "repeatable": self.repeatable,
            "seconds": self.seconds,
            "reason": self.reason,
            "best_epoch": self.best_epoch,
            "test_read": self.test_read,
            "chosen_on": self.chosen_on,
            "spec": dict(self.spec.items()),
            "final": finite(self.final),
            "metrics": [finite(row) for row in self.metrics],
        }


def final_row(row: Mapping[str, Any], tested: Mapping[str, Any] | None) -> dict[str, Any]:
    """The row of an epoch, with the metrics of the test split where they have a row of their own."""
    return {**row, **{name: value for name, value in (tested or {}).items() if name.startswith("test_")}}


@attrs.frozen(eq=False, str=False, repr=False)
class Plan:
    """A run that was checked and not started.

    Attributes:
        spec: What would decide the run, with full ids.
        components: Each component with all its parameters and its provenance.
        facts: Device, sizes and shapes.
        contract: How output and target reach the loss.
        learning_rates: The rate at the first and the last step of each epoch; None if it cannot be known beforehand.
        warnings: What `run` would warn of.
        planned: The optimizers of each schedule, for a person, and their rates, for a picture; not in `to_json`.
    """

    spec: RunSpec
    components: dict[str, Any]
    facts: dict[str, Any]
    contract: dict[str, Any]
    learning_rates: list[tuple[float, float]] | None
    warnings: list[str]
    planned: list[tuple[str, list[EpochRates] | None]] = attrs.field(factory=list)

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        values = attrs.asdict(self, recurse=False, filter=lambda field, _: field.name != "planned")
        return {**values, "spec": dict(self.spec.items())}

    def __repr__(self) -> str:
        parts = ", ".join(f"{field} {part['id']}" for field, part in self.components.items())
        return f"<lossreg.Plan of {self.spec.epochs} epochs: {parts}>"

    def __str__(self) -> str:
        """The plan as `lossreg plan` shows it."""
        return "\n".join(
            [*_components(self), "", *_facts(self), "", *_rates(self), *(f"warning: {each}" for each in self.warnings)]
        )


def _components(plan: Plan) -> list[str]:
    """A line for each setting, with all parameters of a component."""
    lines = []
    for field, text in plan.spec.items():
        if field in LISTED_FIELDS:
            each = [
                _component(plan.components[f"{LISTED_FIELDS[field]}.{number}"], spec)
                for number, spec in enumerate(getattr(plan.spec, field), start=1)
            ]
            lines += [f"{field:<20}{one}" for one in each or ["none"]]
            continue
        component = plan.components.get(field)
        shown = _setting(text) if component is None else _component(component, getattr(plan.spec, field))
        lines.append(f"{field:<20}{shown}")
    return lines


def _component(facts: Mapping[str, Any], spec: ComponentSpec) -> str:
    """A component with all its parameters and its origin."""
    params = {key: _shown(value) for key, value in facts["params"].items()}
    params |= texts_of(spec.params)  # as they can be pasted back
    arguments = ", ".join(f"{key}={value}" for key, value in params.items())
    source = f"{facts['distribution']} {facts['version']}" if facts["distribution"] else "this process"
    return f"{facts['id']}({arguments})  [{source}]"


def _shown(value: object) -> str:
    """A value of JSON, which has no infinity, as it is written in a spec."""
    return value if isinstance(value, str) and value in ("inf", "-inf") else repr(value)


def _setting(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(key if what is True else f"{key}: {what}" for key, what in value.items()) or "none"
    return "none" if value is None else str(value)


def _facts(plan: Plan) -> list[str]:
    """Where the run computes, the sizes, and how output and target reach the loss."""
    facts, contract = plan.facts, plan.contract
    data = facts["data"]
    return [
        f"{'runs on':<20}{facts['device']}, {facts['layout']['memory_format']} ({facts['layout']['reason']})",
        f"{'precision':<20}{facts['precision']['used']} ({facts['precision']['reason']})",
        f"{'evaluated weights':<20}{facts['weights']['used']} ({facts['weights']['reason']})",
        *(f"{f'{name} samples':<20}{how['used']} ({how['reason']})" for name, how in facts["loaders"].items()),
        f"{'samples':<20}{', '.join(f'{data[name]} {name}' for name in facts['loaders'])}; {data['task']}",
        *(f"{'data':<20}{note}" for note in notes_of(facts["source"])),
        *_choosing(facts),
        f"{'steps':<20}{facts['steps_per_epoch']} an epoch",
        f"{'model parameters':<20}{facts['parameters']:,}",
        f"{'optimizer needs':<20}{Needs.from_json(facts['optimizer_needs'])}",
        *_initial(facts["init"]),
        *_frozen(facts["frozen"], facts["parameters"]),
        *_groups(facts["groups"]),
        f"{'contract':<20}fits: output {tuple(contract['output_shape'])} goes to the loss "
        f"{_change(contract['input'])}, targets {_change(contract['target'])}",
    ]


def notes_of(source: Mapping[str, Any]) -> list[str]:
    """The sentences with which a data set says what was made of its files."""
    notes = source.get("notes", [])
    return [one_line(note) for note in notes if isinstance(note, str)] if isinstance(notes, list | tuple) else []


def _choosing(facts: Mapping[str, Any]) -> list[str]:
    """How a validation split is cut off, and what is chosen by which metric."""
    held = facts["validation"]
    how = [] if held is None else [f"{'validation':<20}cut by seed and {held['by']}; {held['reason']}"]
    by = ", ".join(f"{who} by {metric}" for who, metric in facts["choosing"].items())
    return [*how, f"{'chosen on':<20}{facts['chosen_on']}: {by}"] if by else how


def _initial(init: dict[str, Any] | None) -> list[str]:
    """Where the weights come from that the run starts from; nothing if they are new."""
    if init is None:
        return []
    new = f", {len(init['new'])} new" if init["new"] else ""
    return [f"{'initial weights':<20}{init['file']} ({init['weights'] or 'weights'}): {init['taken']} tensors{new}"]


def _frozen(frozen: dict[str, Any], of: int) -> list[str]:
    """What is frozen, and from when on it is trained; nothing if all is trained from the start."""
    if not frozen["tensors"]:
        return []
    later = "".join(
        f"; {_count(count, of)} trained from epoch {epoch} on" for epoch, count in frozen["unfrozen"].items()
    )
    return [f"{'frozen':<20}{_count(frozen, of)}, in {frozen['mode']} mode{later}"]


def _groups(groups: list[dict[str, Any]]) -> list[str]:
    """Which parameters are trained with what; nothing if all are trained with the same."""
    if len(groups) == 1 and not groups[0]["options"]:
        return []
    total = sum(group["parameters"] for group in groups)
    lines = []
    for group in groups:
        options = ", ".join(f"{key}={_rounded(value)}" for key, value in group["options"].items())
        names = group["names"][:MAX_NAMES]
        more = f", ... {len(group['names']) - MAX_NAMES} more" if len(group["names"]) > MAX_NAMES else ""
        lines.append(
            f"{'parameter group':<20}{group['optimizer']}{options and f' with {options}'}: {_count(group, total)}: "
            f"{', '.join(names)}{more}"
        )
    return lines


def _rounded(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _count(count: dict[str, Any], of: int) -> str:
    tensors = f"{count['tensors']} tensor{'' if count['tensors'] == 1 else 's'}"
    return f"{tensors}, {count['parameters']:,} parameters ({count['parameters'] / max(of, 1):.1%})"


def _change(how: str) -> str:
    return how if how == "unchanged" else f"as {how}"


def _rates(plan: Plan) -> list[str]:
    """The learning rates, with one line for epochs that follow each other and have the same."""
    if plan.learning_rates is None:
        return [f"{'learning rate':<20}{unknown_rates(plan)}", *_further_rates(plan)]
    rows = []
    for (first, last), group in itertools.groupby(enumerate(plan.learning_rates), key=lambda pair: pair[1]):
        epochs = [epoch for epoch, _ in group]
        span = str(epochs[0]) if len(epochs) == 1 else f"{epochs[0]}-{epochs[-1]}"
        rows.append((span, f"{first:g}" + (f" to {last:g}" if first != last else "")))
    if len(rows) > MAX_RATES:
        half = MAX_RATES // 2
        rows = [*rows[:half], ("...", f"{len(rows) - 2 * half:,} more lines (--json has all)"), *rows[-half:]]
    width = max(5, *(len(span) for span, _ in rows))
    lines = [f"{'epoch':>{width}}  learning rate", *(f"{span:>{width}}  {rate}" for span, rate in rows)]
    return [*lines, *_further_rates(plan)]


def _further_rates(plan: Plan) -> list[str]:
    """A line for each schedule but that of the first group."""
    lines = []
    for schedule in plan.facts["schedules"]:
        if 0 not in schedule["groups"]:
            rates = schedule["rates"]
            how = _untried(plan, schedule["monitor"]) if rates is None else f"{rates[0]:g} to {rates[1]:g}"
            optimizers = " and ".join(schedule["optimizers"])
            lines.append(f"{'learning rate':<20}of {optimizers}, by {schedule['scheduler']}: {how}")
    return lines


def unknown_rates(plan: Plan) -> str:
    """Why the rates of the first parameter group are not known beforehand."""
    monitors = [schedule["monitor"] for schedule in plan.facts["schedules"] if 0 in schedule["groups"]]
    monitor = monitors[0] if monitors else plan.contract["monitor"]
    optimizer = plan.components.get("optimizer")
    if monitor is None and optimizer is not None and optimizer["params"].get("lr") is None:
        return "set by the optimizer"
    return _untried(plan, monitor)


def _untried(plan: Plan, monitor: str | None) -> str:
    if monitor is not None:
        return f"follows {monitor}"
    steps = plan.spec.epochs * plan.facts["steps_per_epoch"]
    return f"not tried beforehand: {steps:,} steps"
