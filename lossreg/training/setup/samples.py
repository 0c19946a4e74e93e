"""The samples of a run: building a data set and bringing its splits to the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from lossreg.data import Data
from lossreg.errors import ConfigError, DataError
from lossreg.run_spec import RunSpec
from lossreg.training.choice import Choice
from lossreg.training.data.batch_plan import BatchPlan
from lossreg.training.data.load import load_split
from lossreg.training.data.splits import Split, StreamedSplit
from lossreg.training.data.validation import HeldOut, hold_out
from lossreg.training.hardware.distributed import Processes
from lossreg.training.parts import Samples
from lossreg.training.seeds import seed_construction
from lossreg.validation import Cut

Runtime = Mapping[str, Any]  # runtime name -> what factories that ask for it get


def load_samples(
    choice: Choice,
    spec: RunSpec,
    device: torch.device,
    processes: Processes,
    *,
    quiet: bool,
    adapted: Callable[[Data], Data] = lambda data: data,
) -> Samples:
    """Builds the data set, and brings its splits to the device."""
    runtime: Runtime = {"epochs": spec.epochs}
    seed_construction(spec.seed)  # for a data set that draws numbers: the same in every run and process
    with processes.local_main_first():  # where it downloads, once is enough
        data = choice.build(runtime=runtime)
    if not isinstance(data, Data):
        raise ConfigError(f"the data set {choice.label} is a {type(data).__name__}, not a lossreg.Data")
    data = adapted(data)
    sources, held = _sources(data, spec, choice.label)
    splits = {
        name: load_split(
            source,
            data.task,
            limit,
            device,
            f"data set {choice.label}, split {name}",
            loader=spec.loader,
            workers=spec.workers,
            local_world_size=processes.local_world_size,
            quiet=quiet,
        )
        for name, (source, limit) in sources.items()
    }
    if spec.workers is not None and not any(isinstance(split, StreamedSplit) for split in splits.values()):
        raise ConfigError("workers (--workers) has no effect: no split is read by a data loader (--loader dataloader)")
    in_dtype = _check_shape(data, splits["train"], choice.label)
    processes.check_equal({name: len(split) for name, split in splits.items()}, "the numbers of samples")
    processes.check_equal(held and held.facts["digest"], "the validation splits")
    plan = BatchPlan(len(splits["train"]), spec.batch_size, spec.accumulate, processes.rank, processes.world_size)
    facts = {"data": choice.facts(runtime)}
    if held is None:
        return Samples(data, splits, plan, facts, in_dtype=in_dtype)
    return Samples(data, splits, plan, facts, held.facts, in_dtype=in_dtype, origin=held.left)


def _sources(data: Data, spec: RunSpec, label: str) -> tuple[dict[str, tuple[Any, int | None]], HeldOut | None]:
    """Name of a split -> its samples and how many of them are used; and the validation split that was cut off."""
    test = (data.test, spec.limit_test)
    if spec.validate is None:
        return {"train": (data.train, spec.limit_train), "test": test}, None
    where = f"data set {label}, split train"
    held = hold_out(data.train, Cut.of(spec.validate), data.task, spec.limit_train, spec.seed, where)
    return {"train": (held.train, None), "validation": (held.validation, None), "test": test}, held


def _check_shape(data: Data, train: Split, label: str) -> torch.dtype:
    """Compares `in_shape`, by which models are built, with a sample; test images may be larger for some models.

    Returns:
        The type of the sample's numbers.
    """
    inputs = train.head(1)[0]
    shape = tuple(inputs.shape[1:])
    if shape != data.in_shape:
        raise DataError(
            f"data set {label}, split train: an input has the shape {shape}, but in_shape, the shape of one input "
            f"without the batch, is {data.in_shape}"
        )
    return inputs.dtype


def runtime_facts(spec: RunSpec, samples: Samples) -> Runtime:
    """Runtime name -> what factories get that ask for it."""
    steps = samples.plan.steps
    return {
        "epochs": spec.epochs,
        "steps_per_epoch": steps,
        "total_steps": steps * spec.epochs,
        "num_samples": len(samples.splits["train"]),
        **samples.data.facts(),
    }
