"""Messages about own data that say plainly what is wrong: of files, names, lists, scalings and shapes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossreg
from lossreg.data import Scaling
from lossreg.errors import DataError
from lossreg.inputs.tables import listed
from lossreg.trained.facts import DataFacts
from lossreg.trained.inputs import read_inputs
from lossreg.values import counted
from lossreg_builtin.picture_data import PictureOptions
from lossreg_builtin.vision_data import _remove_empty
from tests.table import for_each


def refused(name: str, **parameters: Any) -> str:
    """What the error of a data set says."""
    with pytest.raises(lossreg.LossregError) as caught:
        lossreg.datasets.build(name, **parameters)
    return str(caught.value)


def test_what_is_not_a_regular_file_is_said_once(tmp_path: Path) -> None:
    """A pipe, a device and a folder are each named once, with what they are."""
    os.mkfifo(tmp_path / "pipe")
    for path, what in (
        (tmp_path / "pipe", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path, "a folder, not a file"),
    ):
        assert refused("csv", path=str(path), target="y") == f"{path} is {what}"


def test_a_parameter_that_is_needed_cannot_be_left_out() -> None:
    """The advice for an empty path names a way that there is."""
    assert refused("image_folder", root="") == "image_folder: root='' is empty; name a file or folder"
    assert refused("csv", path="a.csv", target="y", test_path="").endswith(", or leave test_path out")


@for_each("parameter", ["features", "categorical"])
def test_one_text_in_place_of_a_list(parameter: str) -> None:
    """The message has the list as it is written."""
    message = refused("csv", path="a.csv", target="y", **{parameter: "a"})
    assert message.endswith(f"; a list belongs there: {parameter}=['a']")


def test_an_archive_without_samples(tmp_path: Path) -> None:
    """It is empty, which is said with its shape."""
    np.savez(tmp_path / "a.npz", x=np.zeros((0, 5)), y=np.zeros(0))
    message = refused("npz", path=str(tmp_path / "a.npz"))
    assert message == f"{tmp_path}/a.npz, x has the shape (0, 5): it holds no sample"


def test_arrays_for_testing_leave_no_share(tmp_path: Path) -> None:
    """The parameter without effect is named, with the array."""
    x, y = np.arange(8.0).reshape(4, 2), np.arange(4) % 2
    np.savez(tmp_path / "a.npz", x=x, y=y, x_test=x, y_test=y)
    message = refused("npz", path=str(tmp_path / "a.npz"), seed=3)
    assert message == "npz: seed=3 has no effect: the samples for testing are those of x_test; leave it out"


def test_names_with_blanks_around_them_are_quoted() -> None:
    """Otherwise a list of names would not show them."""
    assert listed(["a", " b", "c "]) == "a, ' b', 'c '"


def test_a_scaling_that_is_none_is_told_in_words_of_its_parameter() -> None:
    """No class and no tuple of ours is in the message."""
    with pytest.raises(DataError) as caught:
        PictureOptions.parse(channels=1, normalize=[0, 0])
    assert str(caught.value) == (
        "normalize=[0, 0]: each mean is a finite number, and each std a number above 0; write [mean, std], such as "
        "[0.5, 0.25]"
    )


def test_one_is_not_several() -> None:
    """English has an s for all numbers but one."""
    assert [counted(count, "file") for count in (0, 1, 2)] == ["0 files", "1 file", "2 files"]


def test_rows_for_convolutions(tmp_path: Path) -> None:
    """A model of convolutions on a table says what it takes, and which model fits."""
    path = tmp_path / "a.csv"
    path.write_text("a,b,y\n" + "1,2,p\n3,4,q\n" * 5)
    with pytest.raises(lossreg.ContractError, match=r"it has convolutions over pictures .* without model \(--model\)"):
        lossreg.run(
            data=f"csv(path={str(path)!r}, target='y')", model="small_cnn", epochs=1, quiet=True, out=tmp_path / "r"
        )


def test_a_folder_that_a_failed_download_made_is_removed(tmp_path: Path) -> None:
    """Also where the folder of the files themselves was not made; what was there before stays."""
    (tmp_path / "data" / "new").mkdir(parents=True)
    _remove_empty(tmp_path / "data" / "new" / "cifar", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_table_for_a_model_of_pictures(tmp_path: Path) -> None:
    """What is wrong with the table is not all: the model takes pictures."""
    (tmp_path / "a.csv").write_text("city,price\nBerlin,1\n")
    facts = DataFacts("classification", (3, 8, 8), 2, "float32", Scaling(), None, {})
    with pytest.raises(DataError, match=r"an input of the model has the shape \(3, 8, 8\), as pictures have$"):
        read_inputs([tmp_path / "a.csv"], facts)


def test_the_categories_that_there_are_are_listed(tmp_path: Path) -> None:
    """Beside the one that is not."""
    (tmp_path / "a.csv").write_text("c,y\nu,p\nv,q\n")
    (tmp_path / "b.csv").write_text("c,y\nzzz,p\n")
    message = refused("csv", path=str(tmp_path / "a.csv"), target="y", test_path=str(tmp_path / "b.csv"))
    assert message.endswith("'zzz' is not one of the categories of the training. Categories: u, v")
