"""What is downloaded or lies in the folder of a data set, and was made to do harm."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

import lossreg

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class Gadget:
    """What makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("RAN",)


def tar() -> bytes:
    """Members with names that lead out, and links that do."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as file:
        for name in ("../../../outside/new", "/tmp/lossreg-outside"):  # noqa: S108  # never made
            file.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "../../../outside"
        file.addfile(link)
        file.addfile(tarfile.TarInfo("link/new"))
    return data.getvalue()


def archive() -> bytes:
    """The same as a zip file."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("../../../outside/new", "new")
        file.writestr("/tmp/lossreg-outside", "new")  # noqa: S108  # never made
    return data.getvalue()


def named() -> bytes:
    """A gzip file that says what it wants to be called."""
    data = io.BytesIO()
    with gzip.GzipFile("../../../outside/new", "wb", fileobj=data) as file:
        file.write(b"new")
    return data.getvalue()


def idx(*sizes: int, data: bytes = b"") -> bytes:
    """A gzip file of the format of MNIST, with sizes that its data do not have."""
    return gzip.compress(struct.pack(f">I{len(sizes)}I", 0x0800 + len(sizes), *sizes) + data)


FILES = {
    "a tar": tar(),
    "a zip": archive(),
    "a name in gzip": named(),
    "a tar in gzip": gzip.compress(gzip.decompress(tar())),
    "a pickle in gzip": gzip.compress(pickle.dumps(Gadget())),
    "sizes beyond the data": idx(1 << 31, 1 << 31, 1 << 31),
    "a size of nothing": idx(0, 28, 28),
    "no gzip": b"<html>",
    "a gzip that ends early": gzip.compress(bytes(1000))[:-20],
}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a folder `outside`, which stays empty."""
    (tmp_path / "outside").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths(folder: Path) -> set[str]:
    """Everything below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("has_its_sum", [False, True])
def test_a_hostile_download(name: str, has_its_sum: bool, scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with the right checksum: nothing is written outside of the raw folder, nothing is run, one error."""
    from torchvision.datasets import MNIST

    mirror = scene / "mirror"
    mirror.mkdir()
    data = FILES[name]
    for each in NAMES:
        (mirror / f"{each}.gz").write_bytes(data)
    digest = hashlib.md5(data).hexdigest() if has_its_sum else "0" * 32  # noqa: S324  # what torchvision compares
    monkeypatch.setattr(MNIST, "mirrors", [f"{mirror.as_uri()}/"])
    monkeypatch.setattr(MNIST, "resources", [(f"{each}.gz", digest) for each in NAMES])
    before = paths(scene)
    with pytest.raises(lossreg.DataError) as caught:
        lossreg.datasets.build("mnist", root="data")
    assert "\n" not in str(caught.value)
    allowed = {f"data/MNIST/raw/{each}{end}" for each in NAMES for end in ("", ".gz")}
    assert paths(scene) - before <= allowed | {"data", "data/MNIST", "data/MNIST/raw"}
    assert not Path("/tmp/lossreg-outside").exists()  # noqa: S108  # what an archive asks for


@pytest.mark.parametrize("file", [*NAMES, *(f"{name}.gz" for name in NAMES)])
def test_a_link_in_the_folder_of_a_data_set(file: str, scene: Path) -> None:
    """A download does not write through it."""
    raw = scene / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (scene / "outside" / "precious").write_text("precious")
    (raw / file).symlink_to(scene / "outside" / "precious")
    with pytest.raises(lossreg.DataError, match="is a link"):
        lossreg.datasets.build("mnist", root="data")
    assert (scene / "outside" / "precious").read_text() == "precious"


def test_a_pickle_in_the_folder_of_a_data_set(scene: Path) -> None:
    """What old versions of torchvision left there is still read; it runs nothing, and the error is one line."""
    folder = scene / "data" / "MNIST" / "processed"
    folder.mkdir(parents=True)
    for each in ("training.pt", "test.pt"):
        torch.save((Gadget(), torch.zeros(1)), folder / each)
    with pytest.raises(lossreg.DataError) as caught:
        lossreg.datasets.build("mnist", root="data")
    assert "\n" not in str(caught.value)
    assert not (scene / "RAN").exists()


def test_control_of_hostile_archives(scene: Path) -> None:
    """The archives do lead out where they are unpacked without care, and the gadget does run."""
    (scene / "a" / "b" / "c").mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(tar())) as file:
        member = file.getmember("../../../outside/new")
        file.extract(member, "a/b/c", filter="fully_trusted")
    assert (scene / "outside" / "new").exists()
    pickle.loads(pickle.dumps(Gadget()))  # noqa: S301  # this is what must not happen
    assert (scene / "RAN").exists()
