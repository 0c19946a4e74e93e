"""`lossreg predict` with a folder of pictures, and with archives of several arrays."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from lossreg.errors import DataError
from lossreg.trained.facts import DataFacts
from lossreg.trained.inputs import expanded, read_inputs
from lossreg.trained.samples import Samples
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command


def facts(shape: tuple[int, ...]) -> DataFacts:
    """Of a classification of inputs of a shape."""
    return DataFacts("classification", shape, 2, "float32", None, None, {})


GREY, COLOURED, ROWS = facts((1, 4, 5)), facts((3, 4, 5)), facts((6,))


def read(file: Path | str, of: DataFacts) -> list[Samples]:
    """What is read of a file."""
    return read_inputs([file], of)


def refused(file: Path | str, of: DataFacts) -> str:
    """What the error says."""
    with pytest.raises(DataError) as caught:
        read(file, of)
    return caught.value.message


def pictures(folder: Path) -> Path:
    """A folder with pictures in it and below it, and other files."""
    for name in ("b.png", "a.PNG", "c/d.png", ".hidden.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (5, 4), 51).save(folder / name, "PNG")
    (folder / "notes.txt").touch()
    return folder


def test_a_folder_is_all_its_pictures(tmp_path: Path) -> None:
    """Sorted by path, those in folders below it too; the number is said, and what is not read."""
    folder = pictures(tmp_path / "scans")
    files, notes = expanded([str(folder), "x.npy"], GREY)
    assert files == [*(folder / name for name in ("a.PNG", "b.png", "c/d.png")), Path("x.npy")]
    assert notes == [f"{folder}: 3 pictures; not read: 1 file, such as notes.txt"]


def test_a_folder_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    """For pictures that it holds none, otherwise what to write, by what is in it."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.parquet").touch()
    (tmp_path / "circle").mkdir()
    (tmp_path / "circle" / "again").symlink_to(tmp_path / "circle")
    for name, of, said in (
        ("empty", GREY, "it holds no pictures: their names end in .png, .jpg, .jpeg, .bmp, .webp"),
        ("empty", ROWS, f"it is a folder; write {tmp_path}/empty/*.csv"),
        ("tables", ROWS, f"it is a folder; write {tmp_path}/tables/*.parquet"),
        ("circle", GREY, f"{tmp_path}/circle/again is a link to a folder that it is in itself; remove the link"),
    ):
        assert expanded([str(tmp_path / name)], of) == ([tmp_path / name], [])
        assert refused(tmp_path / name, of) == f"{tmp_path / name}: {said}"


def pixels(*shape: int) -> np.ndarray[Any, Any]:
    """Pixels of 8 bits, all different."""
    return np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)


@for_each(
    ("of", "given", "expected"),
    [
        (GREY, pixels(2, 4, 5), pixels(2, 1, 4, 5)),
        (GREY, pixels(4, 5), pixels(1, 1, 4, 5)),
        (GREY, pixels(2, 4, 5, 1), pixels(2, 1, 4, 5)),
        (COLOURED, pixels(2, 4, 5, 3), pixels(2, 4, 5, 3).transpose(0, 3, 1, 2)),
        (COLOURED, pixels(4, 5, 3), pixels(4, 5, 3).transpose(2, 0, 1)[None]),
        (COLOURED, pixels(2, 3, 4, 5), pixels(2, 3, 4, 5)),
        (facts((3, 3, 3)), pixels(2, 3, 3, 3), pixels(2, 3, 3, 3)),
        (facts((4, 5)), pixels(2, 4, 5), pixels(2, 4, 5)),
        (ROWS, pixels(2, 6) * 0.5, pixels(2, 6) * 0.5),
    ],
    ids=["grey", "one", "channel last", "coloured", "one coloured", "first", "both", "no channel", "rows"],
)
def test_what_training_takes_is_taken(
    tmp_path: Path, of: DataFacts, given: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]
) -> None:
    """Pictures without a channel, or with it last, are those with it first."""
    np.save(tmp_path / "a.npy", given)
    (found,) = read(tmp_path / "a.npy", of)
    np.testing.assert_array_equal(found.values, expected)
    assert found.greatest == (255 if given.dtype == np.uint8 else 1)


def test_the_array_that_fits_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If it is the only one, which is said; each of its inputs is named by it."""
    np.savez(tmp_path / "a.npz", x=pixels(2, 4, 5), y=np.arange(2), names=np.array(["a", "b"]))
    with caplog.at_level(logging.WARNING, "lossreg"):
        (found,) = read(tmp_path / "a.npz", GREY)
    assert found.names == (f"{tmp_path}/a.npz:x[0]", f"{tmp_path}/a.npz:x[1]")
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{tmp_path}/a.npz holds x (2, 4, 5), y (2,), names (2,): x alone has inputs of the model, and is read"
    )


def test_one_of_several_arrays_is_chosen(tmp_path: Path) -> None:
    """Where it is not clear which is meant, the error says how to write it; objects beside it do not matter then."""
    path = tmp_path / "a.npz"
    np.savez(path, x_train=pixels(3, 4, 5), y_train=np.arange(3), x_test=pixels(2, 4, 5))
    assert refused(path, GREY) == (
        f"{path}: it holds several arrays: x_train (3, 4, 5), y_train (3,), x_test (2, 4, 5); an input of the model "
        f"has the shape (1, 4, 5): write {path}:x_train to predict for one of them"
    )
    (found,) = read(f"{path}:x_test", GREY)
    assert found.names == (f"{path}:x_test[0]", f"{path}:x_test[1]")
    assert refused(f"{path}:x_tset", GREY) == (
        f"{path}:x_tset: it has no array 'x_tset'. Did you mean 'x_test'? Arrays: x_train, y_train, x_test"
    )
    assert "its shape is (3,), and an input of the model has (1, 4, 5)" in refused(f"{path}:y_train", GREY)
    np.savez(path, x=pixels(1, 4, 5), o=np.array([{}], dtype=object))
    assert len(read(f"{path}:x", GREY)) == 1
    np.savez(path)
    assert refused(path, GREY) == f"{path}: it holds no array"


def test_a_tensor_of_a_file_is_chosen_alike(tmp_path: Path) -> None:
    """And a file whose own name has a colon is that file."""
    import torch
    from safetensors.torch import save_file

    save_file({"x": torch.ones(2, 6), "y": torch.ones(2)}, tmp_path / "a.safetensors")
    (found,) = read(f"{tmp_path}/a.safetensors:x", ROWS)
    assert found.values.shape == (2, 6)
    np.save(tmp_path / "a.npz:x.npy", np.ones((1, 6)))
    assert read(tmp_path / "a.npz:x.npy", ROWS)[0].names == (f"{tmp_path}/a.npz:x.npy",)


def test_from_pictures_and_arrays_to_predictions(tmp_path: Path, lossreg_command: Command) -> None:
    """A run on arrays without a channel predicts for their file, and for a folder; what it reads is said."""
    np.savez(tmp_path / "a.npz", x=pixels(12, 4, 5), y=np.arange(12) % 2)
    pictures(tmp_path / "scans")
    cpu = ("--device", "cpu")
    run = ("run", "--data", "npz(path='a.npz')", "--model.hidden", "[2]", "--epochs", "1", "--out", "r", "--quiet")
    outcome = lossreg_command(*run, *cpu)
    assert outcome.code == 0, outcome.err
    outcome = lossreg_command("predict", "r", "a.npz:x", "scans", "--resize", *cpu)
    assert (outcome.code, len(outcome.out.splitlines())) == (0, 15), outcome.err
    assert outcome.err == "scans: 3 pictures; not read: 1 file, such as notes.txt\n"
    (tmp_path / "scans" / "e.png").touch()
    outcome = lossreg_command("predict", "r", "scans", *cpu)
    assert (outcome.code, outcome.out) == (2, "")
    assert "1 of 4 inputs cannot be used; nothing was predicted:\n  scans/e.png: it cannot be read" in outcome.err
    outcome = lossreg_command("predict", "r", "scans", "--out", "scans/b.npy", *cpu)
    assert outcome.code == 2
