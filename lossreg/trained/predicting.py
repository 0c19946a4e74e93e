"""Predictions for new inputs: classes with their probabilities, labels, numbers, or masks."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from lossreg.data import task_text
from lossreg.errors import ConfigError, ContractError
from lossreg.inputs.pictures import SUFFIXES as PICTURES
from lossreg.trained.inputs import read_inputs, to_tensor
from lossreg.trained.loading import LoadedRun
from lossreg.values import one_line

logger = logging.getLogger("lossreg")

IS_ONE = 1e-3  # how far from 1 the sum of probabilities may be, which a model computes in 16 bits
TOP = 1  # classes that are told of each input


@attrs.frozen(eq=False)
class Prediction:
    """What the model says of one input.

    Attributes:
        input: The file, with the place in it where it holds several.
        probabilities: Of each class, for a classification `(classes,)`; else None.
        labels: For a multilabel classification, the probability of each class by itself `(classes,)`; else None.
        values: For a regression, the numbers, raw where the data set says how its targets were made; else None.
        mask: For a segmentation, the class of each position; else None.
        class_names: What each class is called; None are the class indices.
    """

    input: str
    probabilities: np.ndarray[Any, Any] | None = None
    values: np.ndarray[Any, Any] | None = None
    mask: np.ndarray[Any, Any] | None = None
    labels: np.ndarray[Any, Any] | None = None
    class_names: tuple[str, ...] | None = None

    def named(self, index: int) -> Any:
        """A class as a person calls it: its name, or its index."""
        return index if self.class_names is None else self.class_names[index]

    def best(self, count: int) -> list[tuple[Any, float]]:
        """The most probable classes, each with its probability; of equal ones the lower class first."""
        assert self.probabilities is not None  # noqa: S101  # of a classification alone
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.named(int(index)), float(self.probabilities[index])) for index in order]

    def present(self) -> list[tuple[Any, float]]:
        """The classes that the input is said to have, those of a probability above 1/2, each with it."""
        assert self.labels is not None  # noqa: S101  # of a multilabel classification alone
        return [(self.named(index), float(one)) for index, one in enumerate(self.labels) if one > 0.5]

    def shares(self) -> list[tuple[Any, float]]:
        """The classes of a mask, each with its share of the positions."""
        assert self.mask is not None  # noqa: S101  # of a segmentation alone
        classes, counts = np.unique(self.mask, return_counts=True)
        return [
            (self.named(int(one)), float(count / self.mask.size)) for one, count in zip(classes, counts, strict=True)
        ]

    def to_json(self, top: int = TOP) -> dict[str, Any]:
        """The prediction as plain values."""
        if self.probabilities is not None:
            best = self.best(top)
            return {
                "input": self.input,
                "class": best[0][0],
                "probability": best[0][1],
                "top": [{"class": one, "probability": probability} for one, probability in best],
            }
        if self.labels is not None:
            present = [index for index, _ in self.present()]
            return {"input": self.input, "labels": present, "probabilities": self.labels.tolist()}
        if self.values is not None:
            return {"input": self.input, "values": self.values.tolist()}
        shares = [{"class": one, "share": share} for one, share in self.shares()]
        return {"input": self.input, "shares": shares}


def predict_files(
    run: LoadedRun,
    files: Sequence[str | Path],
    *,
    resize: bool = False,
    as_is: bool = False,
    batch_size: int | None = None,
) -> list[Prediction]:
    """Predicts for each input in some files, all of which are read and checked first.

    Args:
        run: What `load_run` gave.
        files: Pictures (PNG, JPEG), `.npy`, `.npz`, `.csv` or `.safetensors`.
        resize: Whether pictures of another size are resized.
        as_is: Whether the numbers of tables are scaled already.
        batch_size: Inputs that are computed together; None is that of the run.

    Raises:
        DataError: If a file cannot be used; nothing was predicted then.
        ContractError: If the model fails on the inputs.
    """
    read = read_inputs(files, run.data, resize=resize)
    inputs = torch.cat([to_tensor(samples, run.data, run.in_dtype, as_is=as_is) for samples in read])
    names = [name for samples in read for name in samples.names]
    found: list[Prediction] = []
    for some in inputs.split(batch_size or run.spec.batch_size):
        output = _output(run, some)
        first = len(found)
        found += _predictions(run, names[first : first + len(some)], output)
    return found


def _output(run: LoadedRun, inputs: Tensor) -> Tensor:
    """What the model gives for a batch, on the CPU."""
    place = one_line(str(run.directory))
    output: Any = run.predict(inputs)
    if not isinstance(output, Tensor) or output.shape[:1] != inputs.shape[:1]:
        what = f"the shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ContractError(f"the model of {place} gives {what} for {len(inputs)} inputs")
    found = output.float().cpu()
    if not bool(found.isfinite().all()):
        raise ContractError(f"the model of {place} gives a number that is not finite")
    return found


def _predictions(run: LoadedRun, names: Sequence[str], output: Tensor) -> Iterator[Prediction]:
    if run.data.task == "regression":
        values = output.double().reshape(len(output), -1).numpy()
        scaling = run.data.target_scaling
        if scaling is not None:
            values = values * np.asarray(scaling.std) + np.asarray(scaling.mean)
        return (Prediction(name, values=one) for name, one in zip(names, values, strict=True))
    classes = run.data.class_names if output.shape[1] == run.data.outputs else None
    if run.data.task == "segmentation":
        masks = output.argmax(dim=1).numpy().astype(np.uint8 if output.shape[1] <= 256 else np.int64)
        return (Prediction(name, mask=one, class_names=classes) for name, one in zip(names, masks, strict=True))
    if run.data.task == "multilabel":
        each = output if _gives_probabilities(run) else output.sigmoid()
        return (
            Prediction(name, labels=one, class_names=classes) for name, one in zip(names, each.numpy(), strict=True)
        )
    probabilities = to_probabilities(output).numpy()
    return (
        Prediction(name, probabilities=one, class_names=classes) for name, one in zip(names, probabilities, strict=True)
    )


def _gives_probabilities(run: LoadedRun) -> bool:
    """Whether the model of a multilabel classification ends in a sigmoid, by what its run went by."""
    contract = run.facts.get("contract")
    return isinstance(contract, Mapping) and contract.get("threshold") == 0.5


def to_probabilities(output: Tensor) -> Tensor:
    """The output of a model for classes `(N, classes)` as probabilities.

    Logits and log-probabilities become such by a softmax; what is that already stays as it is.
    """
    sums_to_one = bool(((output.sum(dim=1) - 1).abs() < IS_ONE).all())
    return output if sums_to_one and bool((output >= 0).all()) else output.softmax(dim=1)


def scaling_note(run: LoadedRun, files: Sequence[str | Path]) -> None:
    """Warns where raw inputs would be scaled, and it is not known how.

    Args:
        run: What `load_run` gave.
        files: The inputs.
    """
    raw = (*PICTURES, ".csv")
    if run.data.input_scaling is None and any(Path(file).suffix.lower() in raw for file in files):
        logger.warning(
            "%s",
            one_line(
                f"{run.directory} does not tell how its data set scaled its inputs (input_scaling of lossreg.Data): "
                "pictures are read as values from 0 to 1, and tables as they are"
            ),
        )


def check_options(files: Sequence[str], *, resize: bool, as_is: bool, as_json: bool, out: str | None) -> None:
    """Checks that each option of `lossreg predict` has an effect.

    Raises:
        ConfigError: If one has none.
    """
    suffixes = {Path(file).suffix.lower() for file in files}
    if resize and not suffixes & {*PICTURES} and not any(Path(file).is_dir() for file in files):
        raise ConfigError(f"--resize has no effect: no input is a picture ({', '.join(PICTURES)})")
    if as_is and ".csv" not in suffixes:
        raise ConfigError("--as-is has no effect: no input is a table (.csv)")
    if as_json and out is not None:
        raise ConfigError("--json has no effect with --out, whose suffix decides what is written (.jsonl)")


def check_top(run: LoadedRun, top: int | None) -> int:
    """How many classes are told of each input.

    Raises:
        ConfigError: If the run does not predict classes of whole inputs, or so many.
    """
    if top is None:
        return TOP
    if run.data.task != "classification":
        raise ConfigError(
            f"--top is for a classification; {one_line(str(run.directory))} is a {task_text(run.data.task)}"
        )
    if not 1 <= top <= run.data.outputs:
        raise ConfigError(f"--top is 1 to {run.data.outputs}, the number of classes, not {top}")
    return top
