"""The data sets of torchvision, each from a tiny one in its layout."""

from __future__ import annotations

import io
import json
import pickle
import socket
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torchvision import datasets

import lossreg
from lossreg.data import Data
from lossreg.errors import DataError, ParameterError
from lossreg_builtin.vision_datasets import LEFT_OUT, ROWS, SEGMENTATION
from lossreg_builtin.vision_models import MODELS
from lossreg_builtin.vision_models import SEGMENTATION as MASKS
from tests.lossreg_builtin.vision_layouts import CLASSES, MAKERS, PER_CLASS, brightness, labels, picture

if TYPE_CHECKING:
    from tests.conftest import Command

#: Classes where torchvision, or the table, says how many there are whatever the files hold.
FIXED = {
    "clevr": 11, "emnist": 47, "fashion_mnist": 10, "fer2013": 7, "flowers102": 102, "gtsrb": 43, "kmnist": 10,
    "mnist": 10, "qmnist": 10, "rendered_sst2": 2, "semeion": 10, "stl10": 10, "svhn": 10, "usps": 10,
}  # fmt: skip


@pytest.fixture(autouse=True)
def any_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are taken whatever their checksum is."""
    monkeypatch.setattr(datasets.utils, "check_md5", lambda *_, **__: True)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name of a machine can be resolved."""

    def unreachable(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)


def made(name: str, root: Path, **settings: Any) -> Data:
    """A tiny data set, read."""
    MAKERS[name](root)
    return read(name, root, **settings)


def read(name: str, root: Path, **settings: Any) -> Data:
    """A data set that is there."""
    data = lossreg.datasets.build(name, root=root, **settings)
    assert isinstance(data, Data)
    return data


def tensors(split: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of a split in memory."""
    assert isinstance(split, tuple)
    return split


def test_every_class_of_torchvision_has_a_row_or_a_reason() -> None:
    """All classes of torchvision.datasets are read, or left out for a reason; no other is named."""
    read_ones = {row.source for row in ROWS.values()}
    assert read_ones | LEFT_OUT.keys() == {
        name for name in datasets.__all__ if isinstance(getattr(datasets, name), type)
    }
    assert not read_ones & LEFT_OUT.keys()


def test_every_row_has_a_layout_here() -> None:
    """No data set is without a test."""
    assert MAKERS.keys() == ROWS.keys()


def test_the_page_says_how_many_there_are() -> None:
    """docs/vision.md has the numbers of models and data sets, and the size of each."""
    page = (Path(__file__).parents[2] / "docs" / "vision.md").read_text(encoding="utf-8")
    assert f"classification ({len(MODELS.keys() - MASKS)}) and segmentation ({len(MASKS)})" in page
    numbers = f"for each picture ({len(ROWS.keys() - SEGMENTATION)}) or for each pixel ({len(SEGMENTATION)})"
    assert numbers in page
    for name, row in ROWS.items():
        sides = row.side if isinstance(row.side, tuple) else (row.side,)
        size = "as they are" if row.side is None else " x ".join(map(str, sides))
        assert f"| `{name}` | " in page
        line = page.partition(f"| `{name}` | ")[2].partition("\n")[0]
        assert line.split(" | ")[1] == size


@pytest.mark.parametrize("name", sorted(ROWS.keys() - SEGMENTATION))
def test_each_picture_has_its_class(name: str, tmp_path: Path) -> None:
    """Each picture is there once, in [0, 1], with the class by which it was made."""
    row = ROWS[name]
    data = made(name, tmp_path, **({} if row.images else {"size": 8}))
    assert data.num_classes == FIXED.get(name, len(CLASSES))
    assert data.class_names is None or len(data.class_names) == data.num_classes
    assert data.in_shape[0] == row.channels
    both = [tensors(split) for split in (data.train, data.test)]
    for inputs, targets in both:
        assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)
        levels = torch.tensor([brightness(label) for label in targets.tolist()])
        assert ((inputs * 255 - levels[:, None, None, None]).abs() < 2.5).all()  # JPEG rounds
    expected = [label for label in labels() if label < data.num_classes]
    found = [sorted(targets.tolist()) for _, targets in both]
    assert found == ([[*CLASSES], [*CLASSES]] if row.splits is None else [expected, expected])


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [
        ("cityscapes", 0, -100),
        ("oxford_iiit_pet_segmentation", 0, 2),
        ("sbd", 0, 20),
        ("voc_segmentation", 5, -100),
    ],
)
def test_each_pixel_has_its_class(name: str, left: int, right: int, tmp_path: Path) -> None:
    """Classes count from 0, and what belongs to none is the ignore_index of torch's losses."""
    data = made(name, tmp_path, size=[10, 12])
    assert data.task == "segmentation"
    for inputs, targets in (tensors(data.train), tensors(data.test)):
        assert inputs.shape[1:] == (3, 10, 12)
        assert (targets[0, :, :6] == left).all()
        assert (targets[0, :, 6:] == right).all()


def test_emnist_is_upright_and_its_letters_count_from_0(tmp_path: Path) -> None:
    """The files hold pictures with rows for columns, and letters from 1 to 26."""
    MAKERS["emnist"](tmp_path)
    file = tmp_path / "EMNIST/raw/emnist-letters-train-images-idx3-ubyte"
    content = bytearray(file.read_bytes())
    content[16:44] = bytes(range(28))  # the first row of the first picture
    file.write_bytes(content)
    data = read("emnist", tmp_path, split="letters")
    inputs, targets = tensors(data.train)
    assert (inputs[0, 0, :, 0] * 255).round().int().tolist() == list(range(28))
    assert targets.tolist() == labels()
    assert data.class_names is not None
    assert data.class_names[:2] == ("a", "b")


def test_the_parameters_of_torchvision_s_classes(tmp_path: Path) -> None:
    """Those that choose what is read are passed on; a word that does not exist is refused before anything is read."""
    with pytest.raises(ParameterError, match=r"split='letter' does not fit split: Literal\['balanced', 'byclass'"):
        read("emnist", tmp_path, split="letter")
    for part in ("train", "val"):
        for label, name in enumerate(("n01440764", "n02102040")):
            picture(tmp_path / f"imagenette2-160/{part}/{name}/1.jpeg", label)
    assert read("imagenette", tmp_path, archive="160px", size=8).class_names == (
        "tench, Tinca tinca", "English springer, English springer spaniel",
    )  # fmt: skip


def test_what_has_one_split_is_cut_by_a_seed(tmp_path: Path) -> None:
    """The share is kept for each class; the same seed gives the same split, and the record says which it was."""
    first = made("eurosat", tmp_path, size=8, test=0.5, seed=3)
    again = read("eurosat", tmp_path, size=8, test=0.5, seed=3)
    assert torch.equal(tensors(first.train)[0], tensors(again.train)[0])
    assert first.source["split"] == {"by": "seed", "test": 0.5, "seed": 3, "stratified": True}
    with pytest.raises(DataError, match=r"test=1\.5 is not a share"):
        read("eurosat", tmp_path, test=1.5)


def test_the_order_does_not_depend_on_the_file_system(tmp_path: Path) -> None:
    """Files that are written in another order are read in the same one."""
    names = ("a/abbey", "b/beach", "c/cave/inside")
    read_ones = []
    for place, numbers in (("one", range(1, 9)), ("two", range(8, 0, -1))):
        (tmp_path / place / "SUN397").mkdir(parents=True)
        (tmp_path / place / "SUN397" / "ClassName.txt").write_text("".join(f"/{name}\n" for name in names))
        for number in numbers:
            picture(tmp_path / place / "SUN397" / names[number % 3] / f"sun_{number}.jpg", number % 3)
        read_ones.append(tensors(read("sun397", tmp_path / place, size=4).train)[1].tolist())
    assert read_ones[0] == read_ones[1]


def test_pictures_of_several_sizes_need_a_size(tmp_path: Path) -> None:
    """size=None is an error that says what to write; the default size is one that most models were made for."""
    assert made("food101", tmp_path).in_shape == (3, 224, 224)
    with pytest.raises(DataError, match=r"pictures are of several sizes.*Food101, picture 2 is 10x13"):
        read("food101", tmp_path, size=None)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_what_is_not_there_is_an_error_without_a_network(name: str, tmp_path: Path) -> None:
    """It is one line that names the folder and what to do; nothing is left behind."""
    folder = tmp_path / "data"
    with pytest.raises(DataError, match=r"Point root \(--data\.root\) at a copy") as caught:
        read(name, folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [path for path in folder.rglob("*") if not path.is_dir()]


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    """A file that is no picture is an error that names it."""
    MAKERS["food101"](tmp_path)
    file = tmp_path / "food-101" / "images" / "a" / "train1.jpg"
    file.write_bytes(b"nonsense")
    with pytest.raises(DataError, match=rf"Food101, picture 0 cannot be read: .*{file.name}"):
        read("food101", tmp_path)


def test_an_archive_does_not_leave_its_folder(tmp_path: Path) -> None:
    """Of a download that has members elsewhere, and links that lead there, nothing is written outside."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as file:
        file.addfile(tarfile.TarInfo("../outside/new"))
        link = tarfile.TarInfo("food-101")
        link.type, link.linkname = tarfile.SYMTYPE, "../outside"
        file.addfile(link)
        file.addfile(tarfile.TarInfo("food-101/new"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "food-101.tar.gz").write_bytes(data.getvalue())  # as it was downloaded
    (tmp_path / "outside").mkdir()
    with pytest.raises(DataError, match="OutsideDestinationError"):
        read("food101", tmp_path / "data")
    assert not any((tmp_path / "outside").iterdir())
    assert tarfile.TarFile.extraction_filter is None


def test_a_download_does_not_write_through_a_link(tmp_path: Path) -> None:
    """A link among the files of a data set that is not complete is an error."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "food-101").symlink_to(tmp_path / "outside")
    with pytest.raises(DataError, match="food-101 is a link"):
        read("food101", tmp_path / "data")
    assert not any((tmp_path / "outside").iterdir())


def test_a_pickle_that_is_not_the_real_one_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batches of CIFAR are pickles: one with another checksum is not opened."""
    MAKERS["cifar10"](tmp_path)
    monkeypatch.undo()  # checksums count again
    opened: list[object] = []
    monkeypatch.setattr(pickle, "load", lambda *given, **_: opened.append(given))
    monkeypatch.setattr(datasets.CIFAR10, "url", (tmp_path / "missing.tar.gz").as_uri())
    with pytest.raises(DataError, match="CIFAR10 is not in"):
        read("cifar10", tmp_path)
    assert not opened


def test_a_run_with_augmentation(lossreg_command: Command, tmp_path: Path) -> None:
    """By name, from a command line: the transforms, the numbers that were computed and the classes are recorded."""
    MAKERS["cifar10"](tmp_path)
    outcome = lossreg_command(
        "run", "--data", f"cifar10(root={str(tmp_path)!r}, normalize=true, augment=['random_crop(32, padding=4)', "
        "'random_horizontal_flip'])",
        "--model", "mlp(hidden=[2])", "--epochs", "1", "--workers", "0", "--out", "out",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    record = json.loads(Path("out/run.json").read_text())
    levels = torch.tensor([brightness(label) for label in labels()], dtype=torch.float64) / 255
    assert record["data"]["input_scaling"]["mean"] == pytest.approx([levels.mean().item()] * 3)
    assert record["data"]["class_names"] == ["a", "b", "c"]
    assert "augment=['random_crop(32, padding=4)', 'random_horizontal_flip']" in record["spec"]["data"]
    assert record["loaders"]["train"]["used"] == "dataloader"
    assert record["loaders"]["test"]["used"] == "resident"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data.augment", "random_crop(24)"], r"end with resize\(\[32, 32\]\)"),
        (["--data.augment", "random_flip"], "no transform named 'random_flip'"),
        (["--data.normalize", "[0.5, 0]"], "above 0"),
        (["--data.size", "0"], "size=0 is not a number of pixels"),
        (["--model", "alexnet"], "at least 63x63 pixels, not 32x32"),
    ],
)
def test_what_does_not_fit_ends_with_2(options: list[str], said: str, lossreg_command: Command, tmp_path: Path) -> None:
    """An option that is wrong ends the command with 2 before the training, without a traceback."""
    MAKERS["cifar10"](tmp_path)
    outcome = lossreg_command("run", "--data", "cifar10", "--data.root", str(tmp_path), *options)
    assert outcome.code == 2
    assert said.replace("\\", "") in outcome.err
    assert "Traceback" not in outcome.err
    assert not Path("runs").exists()


def test_a_mask_is_augmented_with_its_picture(tmp_path: Path) -> None:
    """A flip turns both; what a crop adds at the border belongs to no class."""
    MAKERS["voc_segmentation"](tmp_path)
    plain = read("voc_segmentation", tmp_path, size=[10, 12])
    data = read("voc_segmentation", tmp_path, size=[10, 12], augment=["random_horizontal_flip(1.0)"])
    assert torch.equal(data.train[0][1], tensors(plain.train)[1][0].flip(1))
    padded = read(
        "voc_segmentation", tmp_path, size=[10, 12], augment=["pad(2)", "center_crop([14, 16])", "resize([10, 12])"]
    )
    assert (padded.train[0][1][0] == -100).all()
    assert len(padded.train) == PER_CLASS  # type: ignore[arg-type]  # it has a length
