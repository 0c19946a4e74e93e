"""The parts of a run: built from specs or taken as objects, in a fixed order, and put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from lossreg.components import Loss
from lossreg.data import Data
from lossreg.errors import ConfigError
from lossreg.plugins import describe_error
from lossreg.registry import Registries
from lossreg.run_spec import RunSpec
from lossreg.training.assembly import Assembly, Layout
from lossreg.training.averaging import Averaging, averaging_of
from lossreg.training.builder import Builder, class_name
from lossreg.training.computation import check_compiler
from lossreg.training.contract import Parties, Probe, adapt, check_contract
from lossreg.training.cuts import Cuts
from lossreg.training.loading import load_split
from lossreg.training.objective import Objective
from lossreg.training.optimization import Optimization
from lossreg.training.precision import choose_precision
from lossreg.training.processes import Processes
from lossreg.training.schedule import zero_rate_warning
from lossreg.training.splits import Loaded, Resident


class Assembler:
    """Puts the parts of one run together, one after the other.

    Args:
        spec: What to build by name.
        objects: Field -> a Python object to use instead.
        registries: Where names are looked up.
        device: Where the parts shall be.
        processes: Those that train together.
        quiet: Whether nothing is shown while a data set is read.
    """

    def __init__(
        self,
        spec: RunSpec,
        objects: Mapping[str, Any],
        registries: Registries,
        device: torch.device,
        processes: Processes,
        *,
        quiet: bool = True,
    ) -> None:
        self.builder = Builder(spec, objects, registries)
        self.device = device
        self.processes = processes
        self.quiet = quiet or not processes.leads

    def assemble(self) -> Assembly:
        """Builds everything and checks that it fits.

        Raises:
            LossregError: If a part cannot be built, or the parts do not fit.
        """
        builder, spec = self.builder, self.builder.spec
        if spec.scheduler_interval and not self._has_scheduler:
            raise ConfigError("scheduler_interval (--sched-interval) has no effect without a scheduler")
        builder.check_specs()
        torch.manual_seed(spec.seed)  # for a data set that draws numbers: the same in every run and process
        with self.processes.first_goes_ahead():  # where it downloads, once is enough
            data = builder.data()
        splits = self._splits(data)
        processes = self.processes
        processes.compare({name: len(split) for name, split in splits.items()}, "the numbers of samples")
        cuts = Cuts(len(splits["train"]), spec.batch_size, spec.accumulate, processes.rank, processes.count)
        builder.runtime |= {**data.facts(), "steps_per_epoch": cuts.steps, "total_steps": cuts.steps * spec.epochs}
        objective, record, layout = self._objective(data, splits)
        parties = Parties(*(builder.labels[field] for field in ("model", "loss", "data")))
        probe = check_contract(objective, record, data, splits, cuts, parties, builder.registries)
        averaging = self._averaging(objective, record, splits, cuts, probe)
        scaler = objective.precision.scaler()
        optimization = Optimization(builder, objective.trainable(), self.device)
        optimization.check_scheduler(data)
        optimization.choose_fused(scaled=scaler is not None)
        rates = optimization.preview(spec.epochs, cuts.steps)
        optimizer = optimization.optimizer()
        scheduler = optimization.scheduler(optimizer) if self._has_scheduler else None
        if spec.compile:
            check_compiler(self.device)
        warning = zero_rate_warning(rates)
        return Assembly(
            spec=builder.spec,
            labels=builder.labels,
            components=builder.components,
            objects={field: class_name(part) for field, part in builder.objects.items()},
            device=self.device,
            processes=processes,
            data=data,
            splits=splits,
            cuts=cuts,
            objective=objective,
            unused=probe.unused,
            layout=layout,
            averaging=averaging,
            optimizer=optimizer,
            closure=self._closure,
            scaler=scaler,
            scheduler=scheduler,
            interval=optimization.interval,
            monitor=optimization.monitor,
            output_shape=probe.output_shape,
            rates=rates,
            warnings=[*builder.warnings, *([warning] if warning else [])],
        )

    @property
    def _has_scheduler(self) -> bool:
        return self.builder.spec.scheduler is not None or "scheduler" in self.builder.objects

    @property
    def _closure(self) -> bool:
        registered = self.builder.registered("optimizer")
        return registered is not None and registered.record.closure

    def _splits(self, data: Data) -> dict[str, Resident | Loaded]:
        spec = self.builder.spec
        splits = {
            name: load_split(
                getattr(data, name),
                data.task,
                limit,
                self.device,
                f"data set {self.builder.labels['data']}, split {name}",
                loader=spec.loader,
                workers=spec.workers,
                local_processes=self.processes.local_count,
                quiet=self.quiet,
            )
            for name, limit in (("train", spec.limit_train), ("test", spec.limit_test))
        }
        if spec.workers is not None and not any(isinstance(split, Loaded) for split in splits.values()):
            raise ConfigError(
                "workers (--workers) has no effect: no split is read by a data loader (--loader dataloader)"
            )
        return splits

    def _objective(self, data: Data, splits: Mapping[str, Resident | Loaded]) -> tuple[Objective, Loss | None, Layout]:
        """Model and loss on the device, the record of the loss, and the layout in which they compute."""
        spec = self.builder.spec
        torch.manual_seed(
            spec.seed
        )  # again, whatever the data set drew: it decides the weights of model and loss, in this order
        model = self.builder.model().to(self.device)
        loss, record = self.builder.loss(data)
        if isinstance(loss, torch.nn.Module):
            loss = loss.to(self.device)
        _initialise_lazy(model, splits["train"])
        layout = self._lay_out(model, splits)
        precision = choose_precision(spec.precision, self.device, model, closure=self._closure)
        return Objective(model, adapt(loss, record, data), precision), record, layout

    def _lay_out(self, model: torch.nn.Module, splits: Mapping[str, Resident | Loaded]) -> Layout:
        """Puts convolutions' weights and images into the layout in which they are fastest."""
        inputs, _ = splits["train"].head(1)
        if inputs.ndim != 4 or not any(isinstance(module, torch.nn.Conv2d) for module in model.modules()):
            return Layout(torch.contiguous_format, "no two-dimensional convolution of images")
        if self._closure:  # LBFGS takes views of gradients that only the usual layout has
            return Layout(torch.contiguous_format, "the optimizer takes a closure")
        if self.device.type not in ("cpu", "cuda"):
            return Layout(torch.contiguous_format, f"channels-last is not known to be faster on {self.device.type}")
        model.to(memory_format=torch.channels_last)
        for split in splits.values():
            split.lay_out(torch.channels_last)
        return Layout(torch.channels_last, "two-dimensional convolutions are faster in it")

    def _averaging(
        self,
        objective: Objective,
        record: Loss | None,
        splits: Mapping[str, Resident | Loaded],
        cuts: Cuts,
        probe: Probe,
    ) -> Averaging:
        loss, label = objective.adapted, self.builder.labels["loss"]
        ignored = loss.ignore_index
        may_be = ignored is not None and any(split.may_hold(ignored) for split in splits.values())
        averaging = averaging_of(loss, probe.output, probe.targets, may_be_ignored=may_be)
        warn = self.builder.warnings.append
        if averaging.rule is None and not cuts.whole:
            why = (
                "has no record that says what it averages over (give a lossreg.Loss)"
                if record is None
                else "is no mean over samples or elements"
            )
            warn(
                f"the loss {label} {why}: each step is the mean of {_parts(cuts)} weighted by their samples, which "
                "differs from the loss of the whole batch"
            )
        if not cuts.whole and any(isinstance(module, _BATCH_NORM) for module in objective.modules()):
            warn(f"the model {self.builder.labels['model']} has batch normalisation, which sees each of {_parts(cuts)}")
        return averaging


_BATCH_NORM = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)


def _parts(cuts: Cuts) -> str:
    """What a step is cut into, in words."""
    batches = f"{cuts.accumulate} accumulated batches" if cuts.accumulate > 1 else ""
    shares = f"the shares of {cuts.processes} processes" if cuts.processes > 1 else ""
    return " and ".join(filter(None, (batches, shares)))


def _initialise_lazy(model: torch.nn.Module, split: Resident | Loaded) -> None:
    """Gives lazy modules (`nn.LazyLinear`) their weights, from the generator that the seed has set."""
    if any(isinstance(p, torch.nn.parameter.UninitializedParameter) for p in model.parameters()):
        try:
            with torch.no_grad():
                model.eval()(split.head(2)[0])
        except Exception as error:
            raise ConfigError(f"the model's lazy modules cannot be initialised: {describe_error(error)}") from error
