"""Predictions in a file: CSV, JSON lines, an array, or the picture of a mask."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lossreg.data import Task, task_text
from lossreg.errors import ConfigError
from lossreg.trained.predicting import Prediction
from lossreg.training.record.outputs import output_file, written
from lossreg.values import shown

Writer = Callable[[Sequence[Prediction], int], bytes]


def predictions_place(name: str, task: Task, inputs: Sequence[str | Path] = ()) -> Path:
    """Where a file of predictions goes, checked before anything is predicted.

    Args:
        name: As it was written.
        task: Of the run.
        inputs: Files that are predicted for.

    Raises:
        ConfigError: If no file can be there, it is an input, or its suffix is of no form that predictions have.
    """
    place = output_file(name, "--out", inputs)
    if place.suffix.lower() not in _WRITERS:
        forms = ", ".join(_WRITERS)
        raise ConfigError(f"--out {shown(name)}: its name ends in one of {forms}, which decides its form")
    if place.suffix.lower() == ".png" and task != "segmentation":
        raise ConfigError(
            f"--out {shown(name)}: a picture holds a mask, and a {task_text(task)} predicts none; write .csv or .npy"
        )
    if place.suffix.lower() == ".csv" and task == "segmentation":
        raise ConfigError(f"--out {shown(name)}: masks go into a .npy array, or one mask into a .png picture")
    return place


def write_predictions(place: Path, predictions: Sequence[Prediction], top: int) -> None:
    """Writes a file whole, or not at all.

    Args:
        place: Its suffix decides its form.
        predictions: Of all inputs.
        top: Classes that are told of each.

    Raises:
        ConfigError: If it cannot be written, or the predictions do not fit into this form.
    """
    content = _WRITERS[place.suffix.lower()](predictions, top)
    with written(place) as partial:
        partial.write_bytes(content)


def _csv(predictions: Sequence[Prediction], top: int) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    first = predictions[0]
    numbers, what = (first.values, "value") if first.labels is None else (first.labels, "probability")
    if numbers is not None:
        each_name = (first.named(index) if first.labels is not None else index for index in range(len(numbers)))
        names = [what] if len(numbers) == 1 else [f"{what}_{name}" for name in each_name]
        writer.writerow(["input", *names])
        each = [(one.input, one.values if one.labels is None else one.labels) for one in predictions]
        writer.writerows([name, *([] if row is None else row.tolist())] for name, row in each)
        return text.getvalue().encode()
    heads = [("class", "probability"), *((f"class_{rank}", f"probability_{rank}") for rank in range(2, top + 1))]
    writer.writerow(["input", *(name for pair in heads for name in pair)])
    writer.writerows([one.input, *(cell for pair in one.best(top) for cell in pair)] for one in predictions)
    return text.getvalue().encode()


def _json_lines(predictions: Sequence[Prediction], top: int) -> bytes:
    return "".join(f"{json.dumps(one.to_json(top), allow_nan=False)}\n" for one in predictions).encode()


def _array(predictions: Sequence[Prediction], top: int) -> bytes:
    del top  # all classes are in it
    parts = ((one.probabilities, one.labels, one.values, one.mask) for one in predictions)
    each = [part for of_one in parts for part in of_one if part is not None]
    stream = io.BytesIO()
    np.save(stream, np.stack(each), allow_pickle=False)
    return stream.getvalue()


def _picture(predictions: Sequence[Prediction], top: int) -> bytes:
    del top
    from PIL import Image  # only pictures need it

    mask = predictions[0].mask
    if len(predictions) > 1 or mask is None or mask.ndim != 2 or mask.dtype != np.uint8:
        raise ConfigError(
            "--out: a picture holds one mask of two dimensions and at most 256 classes; write a .npy array"
        )
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, format="PNG")
    return stream.getvalue()


_WRITERS: dict[str, Writer] = {".csv": _csv, ".jsonl": _json_lines, ".npy": _array, ".png": _picture}
