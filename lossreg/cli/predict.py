"""`lossreg predict`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from lossreg.cli.output import columns
from lossreg.cli.plugin_options import plugin_options
from lossreg.cli.trained_options import trained_options
from lossreg.plugins.isolation import StdoutToStderr
from lossreg.values import one_line, printable

if TYPE_CHECKING:
    from lossreg.trained.predicting import Prediction


@click.command("predict")
@trained_options(batch=True)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=click.Path())
@click.option(
    "--out",
    type=click.Path(),
    metavar="FILE",
    help="A file for the predictions in place of stdout: .csv, .jsonl, .npy, or .png for one mask; one that is there "
    "is replaced.",
)
@click.option("--top", type=int, metavar="K", help="Classes that are told of each input. [default: 1]")
@click.option("--resize", is_flag=True, help="Resize pictures to the size that the model takes.")
@click.option("--as-is", is_flag=True, help="Take the numbers of tables as they are: they are scaled already.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@plugin_options
def predict_command(
    inputs: tuple[str, ...],
    out: str | None,
    top: int | None,
    resize: bool,
    as_is: bool,
    as_json: bool,
    batch_size: int | None,
    **options: Any,
) -> None:
    """Predict with the model of a past run.

    DIR is a run directory. INPUT is a picture (.png, .jpg, .bmp, .webp) or a folder of such, an array (.npy, .npz), a
    table with a row for each input (.csv, .parquet) or tensors (.safetensors); scans.npz:x is one array of several.
    Pictures and tables are scaled as the data set of the run
    was; arrays and tensors are taken as they are, but for pixels of 8 bits. All inputs are checked before anything is
    predicted.

    \b
    Examples:
      lossreg predict runs/first digit.png
      lossreg predict runs/first scans/*.png --resize --top 3
      lossreg predict runs/second patients.csv --out predictions.csv
      lossreg predict runs/third photo.jpg --out mask.png
    """
    from lossreg.trained.inputs import expanded
    from lossreg.trained.loading import load_run
    from lossreg.trained.predicting import check_options, check_top, predict_files, scaling_note
    from lossreg.trained.prediction_files import predictions_place, write_predictions
    from lossreg.training.stops import signals_as_exits

    with StdoutToStderr(), signals_as_exits():
        check_options(inputs, resize=resize, as_is=as_is, as_json=as_json, out=out)
        run = load_run(**options)
        told = check_top(run, top)
        files, notes = expanded(inputs, run.data)
        place = None if out is None else predictions_place(out, run.data.task, files)
        for note in notes:
            click.echo(note, err=True)
        scaling_note(run, files)
        found = predict_files(run, files, resize=resize, as_is=as_is, batch_size=batch_size)
        if place is not None:
            write_predictions(place, found, told)
    if place is not None:
        click.echo(one_line(str(place)))
    elif as_json:
        for one in found:
            click.echo(json.dumps(one.to_json(told), allow_nan=False))
    else:
        for line in columns(_rows(found, told)):
            click.echo(printable(line))


def _rows(found: Sequence[Prediction], top: int) -> list[list[str]]:
    """A row for each prediction: the input, and what the model says."""
    rows = []
    for one in found:
        if one.probabilities is not None:
            said = [f"{index} {probability:.4f}" for index, probability in one.best(top)]
        elif one.labels is not None:
            said = [f"{index} {probability:.4f}" for index, probability in one.present()] or ["none"]
        elif one.values is not None:
            said = [f"{value:.6g}" for value in one.values]
        else:
            said = [f"{index} {share:.1%}" for index, share in one.shares()]
        rows.append([one.input, "  ".join(said)])
    return rows
