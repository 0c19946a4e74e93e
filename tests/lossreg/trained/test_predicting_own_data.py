"""Predictions for a person's own tables and pictures, after runs on such."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet

import lossreg
from lossreg.trained.predicting import predict_files
from tests.lossreg.trained.conftest import load_run

if TYPE_CHECKING:
    from lossreg.trained.loading import LoadedRun
    from tests.conftest import Command
    from tests.lossreg.trained.conftest import Edit, Run

USUAL = {"limit_train": None, "limit_test": None}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of two columns of numbers, one of text, and a number to predict."""
    generator = np.random.default_rng(0)
    rows = ["a,city,b,price"]
    for index in range(40):
        a, b = generator.normal(50, 9, 2).round(2)
        rows.append(f"{a},{'uvw'[index % 3]},{b},{2 * a - b + 0.5:.2f}")
    path = tmp_path / "houses.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def loaded(run: Run, table: Path) -> LoadedRun:
    """A regression on the table."""
    data = f"csv(path={str(table)!r}, target='price', missing='mean')"
    return load_run(run(data=data, **USUAL).directory)


def by_hand(run: LoadedRun, raw: list[list[float]]) -> np.ndarray[Any, Any]:
    """Predictions for raw numbers, scaled in float64 by the recorded moments."""
    facts = run.facts["data"]
    inputs = (np.array(raw) - facts["input_scaling"]["mean"]) / facts["input_scaling"]["std"]
    with torch.no_grad():
        output = run.model.double()(torch.from_numpy(inputs)).numpy()
    run.model.float()
    found: np.ndarray[Any, Any] = output * facts["target_scaling"]["std"] + facts["target_scaling"]["mean"]
    return found


def values(found: list[Any]) -> np.ndarray[Any, Any]:
    """The numbers of predictions."""
    return np.array([one.values for one in found])


def test_columns_go_by_their_names(loaded: LoadedRun, tmp_path: Path) -> None:
    """The order of columns does not matter, others are left out, and the target may be absent."""
    (tmp_path / "x.csv").write_text("b;extra;city;a\n40.5;z;w;61\n55;z;u;39.25\n")
    expected = by_hand(loaded, [[61, 0, 0, 1, 40.5], [39.25, 1, 0, 0, 55]])
    np.testing.assert_allclose(values(predict_files(loaded, [tmp_path / "x.csv"])), expected, rtol=1e-5)
    rows = {"b": [40.5, 55.0], "city": ["w", "u"], "a": [61.0, 39.25]}
    parquet.write_table(pa.table(rows), tmp_path / "x.parquet")
    np.testing.assert_allclose(values(predict_files(loaded, [tmp_path / "x.parquet"])), expected, rtol=1e-5)


def test_missing_cells_are_as_in_the_training(loaded: LoadedRun, tmp_path: Path) -> None:
    """After missing='mean' an empty cell is the mean of its column, or none of the categories."""
    (tmp_path / "x.csv").write_text("a,city,b\n,,55\n")
    mean = loaded.facts["data"]["input_scaling"]["mean"][0]
    expected = by_hand(loaded, [[mean, 0, 0, 0, 55]])
    np.testing.assert_allclose(values(predict_files(loaded, [tmp_path / "x.csv"])), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,city\n1,u\n", "x.csv has no column 'b', which is an input of the model. Columns: a, city"),
        ("a,city,b\n1,u,2\n1,x,2\n", "x.csv, line 3, column 'city': 'x' is not one of the categories of the training."),
        ("a,city,b\n1,u,2\nx,u,2\n", "x.csv, line 3, column 'a': 'x' is not a number"),
        ("a,city,b\n1,u,inf\n", "x.csv, line 2, column 'b': inf is not a finite number"),
        ("a,city,b\n1,u,2,3\n", "x.csv: line 2 has 4 cells, and the line of names 3"),
        ("", "x.csv: it is empty; a table has a line of names, and a line for each row"),
    ],
)
def test_a_wrong_table_is_exit_code_2(
    loaded: LoadedRun, tmp_path: Path, lossreg_command: Command, text: str, expected: str
) -> None:
    """What is wrong is named with its line and column; nothing is predicted."""
    (tmp_path / "x.csv").write_text(text)
    outcome = lossreg_command("predict", str(loaded.directory), "x.csv")
    assert (outcome.code, outcome.out) == (2, "")
    assert expected in outcome.err


def test_an_empty_cell_where_none_was(run: Run, table: Path, tmp_path: Path) -> None:
    """Without missing='mean' an empty cell is an error with its line."""
    loaded = load_run(run(data=f"csv(path={str(table)!r}, target='price')", **USUAL).directory)
    (tmp_path / "x.csv").write_text("a,city,b\n1,u,2\n1,u,\n")
    with pytest.raises(lossreg.DataError, match=r"x\.csv, line 3, column 'b': the cell is empty"):
        predict_files(loaded, [tmp_path / "x.csv"])


def test_a_repeat_from_another_folder_knows_the_file(
    table: Path, tmp_path: Path, lossreg_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is recorded as an absolute one, with the hash, by which a repeat knows that the file changed."""
    arguments = ("--data", "csv(path='houses.csv', target='price')", "--epochs", "1", "--device", "cpu")
    first = lossreg_command("run", *arguments, "--out", "first")
    assert "price holds floating-point numbers: a regression" in first.err
    assert "32 rows to train on and 8 for testing, drawn by seed 0" in first.err
    record = json.loads((tmp_path / "first" / "run.json").read_text())
    assert record["spec"]["data"] == f"builtin.csv(path='{table}', target='price')"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = lossreg_command("run", "-c", "../first", "--out", "again")
    assert (again.code, "has changed" in again.err) == (0, False)
    weights = [(tmp_path / one / "model.safetensors").read_bytes() for one in ("first", "elsewhere/again")]
    assert weights[0] == weights[1]
    os.utime(table)
    table.write_text(table.read_text().replace("u", "v"))
    changed = lossreg_command("run", "-c", "../first", "--out", "changed")
    assert f"{table} has changed since" in changed.err
    plan = lossreg_command("plan", *arguments[:1], f"csv(path={str(table)!r}, target='price')")
    assert "price holds floating-point numbers: a regression" in plan.out


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes of pictures of several sizes."""
    generator = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(4):
            pixels = generator.integers(100, size=(6 + index, 8, 3), dtype=np.uint8)
            pixels[..., label] += 150
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{index}.png")
    return tmp_path / "pictures"


def test_classes_have_their_names(run: Run, pictures: Path, lossreg_command: Command) -> None:
    """Predictions name the folder of the class, in text, as JSON and as CSV."""
    data = f"image_folder(root={str(pictures)!r}, size=8)"
    result = run(data=data, model="small_cnn(channels=[4])", epochs=12, optimizer="sgd(lr=0.2)", **USUAL)
    picture = str(pictures / "dog" / "1.png")
    told = lossreg_command("predict", str(result.directory), picture)
    assert told.out.split()[1] == "dog"
    assert "is 8 by 7 pixels, and is resized to 8 by 8, as the pictures of the run were" in told.err
    told = lossreg_command("predict", str(result.directory), picture, "--json", "--top", "2")
    assert [one["class"] for one in json.loads(told.out)["top"]] == ["dog", "cat"]
    lossreg_command("predict", str(result.directory), picture, "--out", "p.csv")
    assert Path("p.csv").read_text().splitlines()[1].split(",")[1] == "dog"


def test_a_picture_is_predicted_as_it_was_trained(run: Run, pictures: Path) -> None:
    """The output for a file is that for the tensor of the data set, bit for bit."""
    data = f"image_folder(root={str(pictures)!r}, size=(5, 7))"
    loaded = load_run(run(data=data, model="small_cnn", **USUAL).directory)
    built = lossreg.datasets.build(data)
    assert isinstance(built.test, tuple)
    files = [pictures / name / f"{index}.png" for name in ("cat", "dog") for index in range(4)]
    predictions = [one.probabilities for one in predict_files(loaded, files, batch_size=1)]
    found = {one.tobytes() for one in predictions if one is not None}
    for inputs in (*built.train[0], *built.test[0]):
        assert loaded.predict(inputs[None]).float().softmax(1)[0].numpy().tobytes() in found


def test_names_in_a_damaged_record_are_left_out(loaded: LoadedRun, edit: Edit) -> None:
    """Columns that do not make an input of the model are not taken."""
    edit(loaded.directory, lambda record: record["data"].update(columns=[{"name": "a"}], class_names=[1, 2]))
    facts = load_run(loaded.directory).data
    assert (facts.columns, facts.class_names) == (None, None)
