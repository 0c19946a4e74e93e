"""What `lossreg convert` prints, tried as `lossreg plan` does: a text that a run would refuse is not handed on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.conversion.result import Converted, Draft
from lossreg.errors import BuildError, ConfigError, LossregError, ParameterError
from lossreg.registry.registries import Registries
from lossreg.run_spec import RunSpec
from lossreg.spec import ComponentSpec, holds_spec
from lossreg.training.hardware.launcher import find_launch
from lossreg.values import bounded, one_line, shown

if TYPE_CHECKING:
    from lossreg.data import Data

_SAMPLES = 2**40  # so that no length in steps is longer than an epoch, and no schedule of steps is gone through
_MOST_STEPS = 5000  # of an expression, which is computed for each
_CLASSES = 4
_MOST_EPOCHS = 5000  # whose rates are gone through, in a tenth of a second
_LENGTHS = (RunSpec().epochs, 2000)  # epochs of a run of which the file says none: those of lossreg, or enough of them
_OF_SCHEDULES = ("scheduler", "scheduler_interval", "max_steps", "accumulate")
#: The metrics of each run, or of each regression; others may be measured by a run's own settings.
_METRICS = {"train_loss", "test_loss", "test_accuracy", "test_mean_absolute_error"}
_MONITOR = re.compile(r"monitor='([^']*)'")
_OF_PARAMETERS = (BuildError, ParameterError)
_ANY_PARAMETER = "*"  # the patterns of groups are of a model that is not there


def tried(converted: Converted, registries: Registries) -> Converted:
    """What was converted, without what a run would refuse, which is named.

    Args:
        converted: What a file of another program says.
        registries: Where components are looked up.

    Raises:
        ConfigError: If nothing is left.
    """
    refused = dict(refusals(converted.settings, registries))
    if not refused:
        return converted
    draft = Draft(dict(converted.settings), list(converted.notes), list(converted.left_out))
    for key, why in refused.items():
        draft.settings.pop(key, None)
        draft.leave_out(why if why.startswith(f"{key} ") else f"{key}: {why}")
    if "optimizer" in refused and draft.settings.pop("param_groups", None):
        draft.leave_out("param_groups: they are options of the optimizer, which is left out")
    if "scheduler" in refused:
        draft.settings.pop("scheduler_interval", None)
    return draft.done()


def check_accepted(settings: Mapping[str, Any], where: str, registries: Registries) -> None:
    """Checks settings that are to be written for another program.

    Args:
        settings: The settings.
        where: The file, for the message.
        registries: Where components are looked up.

    Raises:
        ConfigError: If a run would refuse one of them.
    """
    for _, why in refusals(settings, registries):
        raise ConfigError(f"{where}: {why}")


def refusals(settings: Mapping[str, Any], registries: Registries) -> Iterator[tuple[str, str]]:
    """The settings that a run refuses whatever its model and data are, each with why."""
    if find_launch() is not None:
        return  # one of several processes, which would wait for the others
    spec = RunSpec.from_mapping(settings, "")
    loss = {} if spec.loss is None else {"loss": spec.loss.text}
    schedule = {key: settings[key] for key in _OF_SCHEDULES if spec.scheduler is not None and key in settings}
    groups = [group for group in spec.param_groups if not group.is_preset]
    trial = _Trial(spec, settings.get("epochs"), registries)
    own = {"optimizer": spec.optimizer.text}
    if not groups and trial.error({**own, **loss, **schedule}) is None:
        return
    error = trial.error(own)
    if error is not None:
        own = {}
        if trial.error({"optimizer": _bare(spec.optimizer).text}) is None:  # else it asks for another model
            yield "optimizer", _line(error)
    error = trial.error(loss) if loss else None
    is_wrong = isinstance(error, _OF_PARAMETERS)  # the other errors are of what does not fit these data
    bare = trial.error({"loss": _bare(spec.loss).text}) if is_wrong and spec.loss is not None else None
    if error is not None and is_wrong and not isinstance(bare, _OF_PARAMETERS):
        yield "loss", _line(error)
    for group in groups if own else ():
        error = trial.error({**own, "param_groups": {_ANY_PARAMETER: group.value}})
        if error is not None:
            why = _line(error).removeprefix(f"param_groups: {_ANY_PARAMETER!r}: ")
            yield "param_groups", f"param_groups {shown(group.pattern)}: {why}"
            break
    error = trial.error({**own, **schedule}) if schedule else None
    if error is not None:
        yield "scheduler", _line(error)


@attrs.frozen
class _Trial:
    """Plans of a run of which some settings are known, with a model and data that are there for it alone.

    Attributes:
        spec: All settings.
        epochs: How many there are; None if that is not known.
        registries: Where components are looked up.
    """

    spec: RunSpec
    epochs: int | None
    registries: Registries

    def error(self, settings: Mapping[str, Any]) -> LossregError | None:
        """Why a run refuses some of the settings, or None."""
        if not self._can_schedule:
            settings = {key: value for key, value in settings.items() if key not in _OF_SCHEDULES}
        error = None
        for epochs in _LENGTHS if self.epochs is None else (self.epochs,):
            error = self._error({**settings, "epochs": epochs}) if epochs <= _MOST_EPOCHS else None
            if error is None:
                return None
        return error

    def _error(self, settings: Mapping[str, Any]) -> LossregError | None:
        import torch  # with the command that needs it, not with `lossreg --help`

        from lossreg.training.api import plan

        data = self._data(_SAMPLES if not self._has_expression else max(8, _MOST_STEPS // settings["epochs"]) * 2)
        model = torch.nn.Linear(data.in_shape[0], data.num_classes or 1, bias=False)  # some optimizers take matrices
        try:
            plan(
                model=model, data=data, device="cpu", precision="32", batch_size=2, registries=self.registries,
                **settings,
            )  # fmt: skip
        except LossregError as error:
            return error
        return None

    @property
    def _can_schedule(self) -> bool:
        """Whether what a schedule needs is known: its metric, and beside an expression no lengths in steps."""
        schedule = self.spec.scheduler
        if schedule is None:
            return True
        is_whole = not schedule.nested and not any(holds_spec(value) for _, value in schedule.params)
        return {*_MONITOR.findall(schedule.text)} <= _METRICS and (is_whole or not self._has_expression)

    @property
    def _has_expression(self) -> bool:
        return self.spec.scheduler is not None and "lr_lambda=" in self.spec.scheduler.text

    def _data(self, samples: int) -> Data:
        """So many samples, of as many classes as a loss has weights for."""
        import torch

        from lossreg.data import Data

        params = () if self.spec.loss is None else self.spec.loss.params
        classes = max([_CLASSES, *(len(value) for _, value in params if isinstance(value, tuple))])
        numbers = self.spec.scheduler is not None and "mean_absolute_error" in self.spec.scheduler.text

        class Samples(torch.utils.data.Dataset[Any]):
            def __len__(self) -> int:
                return samples

            def __getitem__(self, place: int) -> Any:
                target = torch.full((1,), float(place % classes)) if numbers else place % classes
                return torch.full((3,), float(place % classes)), target

        facts: dict[str, Any] = {"task": "regression", "out_features": 1} if numbers else {
            "task": "classification", "num_classes": classes,
        }  # fmt: skip
        return Data(Samples(), Samples(), in_shape=(3,), **facts)


def _bare(spec: ComponentSpec) -> ComponentSpec:
    """A component with the components in it, and no other parameter."""
    inner = {key: value for key, value in spec.params if holds_spec(value)}
    return ComponentSpec(
        spec.name,
        {key: _bare(value) if isinstance(value, ComponentSpec) else value for key, value in inner.items()},
        tuple(map(_bare, spec.nested)),
    )


def _line(error: LossregError) -> str:
    """The first line of an error, for a sentence of many."""
    return bounded(one_line(error.message.partition("\n")[0]))
