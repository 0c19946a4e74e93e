"""Checkpoints that someone made to do harm: all of their hashes are right."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.errors import CheckpointError
from tests.faults.campaign import Campaign
from tests.faults.writers import save

Attack = Callable[[Path], None]


class Gadget:
    """What runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._command,)


def sign(path: Path, **changes: Any) -> None:
    """Writes a manifest that lists the files as they are, with changes."""
    files = {
        file.name: {"bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        for file in sorted(path.iterdir())
        if file.is_file() and not file.is_symlink() and file.name != "manifest.json"
    }
    files |= changes.pop("more", {})
    files = dict(sorted(files.items()))
    content: dict[str, Any] = {"format": 1, "facts": {"step": 1}, "files": files, **changes}
    digest = hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()
    text = json.dumps({**content, "sha256": digest}, separators=(",", ":"))
    (path / "manifest.json").write_text(text + "\n")


def file_of(name: str, data: bytes) -> Attack:
    """A file with other bytes."""

    def attack(path: Path) -> None:
        (path / name).write_bytes(data)
        sign(path)

    return attack


def state_of(value: Any) -> Attack:
    """A state with any content."""
    return file_of("state.json", json.dumps({"format": 1, "state": value}).encode())


def listed(name: str, **says: Any) -> Attack:
    """A manifest that lists one more file."""

    def attack(path: Path) -> None:
        file = {"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest(), **says}
        sign(path, more={name: file})

    return attack


def in_place_of_a_file(make: Callable[[Path], None]) -> Attack:
    """Something else in place of a file whose length and hash are listed."""

    def attack(path: Path) -> None:
        (path / "state.json").rename(path.parent.parent / "elsewhere")
        make(path / "state.json")

    return attack


def bomb() -> bytes:
    """A zip file that is a thousand times as large when it is unpacked."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("../../bomb", b"\0" * 10_000_000)
    return data.getvalue()


def archive() -> bytes:
    """A tar file with a member that leads out of its folder."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as file:
        file.addfile(tarfile.TarInfo("../../../outside"))
    return data.getvalue()


def torch_file(command: str) -> bytes:
    """What `torch.load` runs a command from."""
    data = io.BytesIO()
    torch.save({"weight": Gadget(command)}, data)
    return data.getvalue()


def header(content: bytes, data: bytes = b"") -> bytes:
    """A file of safetensors with any header."""
    content += b" " * (-len(content) % 8)
    return struct.pack("<Q", len(content)) + content + data


def one(shape: list[Any], offsets: list[int], **more: Any) -> bytes:
    """A header with one tensor."""
    return json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": offsets}, **more}).encode()


def link(path: Path) -> None:
    """A link in place of the directory of a checkpoint."""
    moved = path.rename(path.parent.parent / "moved")
    path.symlink_to(moved)


def left(name: str, data: bytes) -> Attack:
    """A file that no manifest lists, or the manifest itself."""

    def attack(path: Path) -> None:
        (path / name).write_bytes(data)

    return attack


COMMAND = "touch RAN"
DEEP = b"[" * 10_000 + b"]" * 10_000
ATTACKS: dict[str, Attack] = {
    "a pickle as weights": file_of("model.safetensors", pickle.dumps(Gadget(COMMAND))),
    "a torch file as weights": file_of("model.safetensors", torch_file(COMMAND)),
    "a pickle as state": file_of("state.json", pickle.dumps(Gadget(COMMAND))),
    "a pickle as tensors of the state": file_of("state.safetensors", pickle.dumps(Gadget(COMMAND))),
    "a pickle as manifest": left("manifest.json", pickle.dumps(Gadget(COMMAND))),
    "a zip bomb": file_of("model.safetensors", bomb()),
    "a tar file": file_of("model.safetensors", archive()),
    "a header of 2**62 bytes": file_of("model.safetensors", struct.pack("<Q", 1 << 62) + b"{}"),
    "a header of 99 MB": file_of("model.safetensors", struct.pack("<Q", 99_000_000) + b"{}"),
    "a tensor of 2**62 elements": file_of("model.safetensors", header(one([1 << 62], [0, 1 << 64]))),
    "a shape that overflows": file_of("model.safetensors", header(one([1 << 33, 1 << 33], [0, 4]), bytes(4))),
    "a shape below zero": file_of("model.safetensors", header(one([-1], [0, 4]), bytes(4))),
    "offsets that overlap": file_of(
        "model.safetensors",
        header(one([2], [0, 8], b={"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}), bytes(12)),
    ),
    "a name twice": file_of("model.safetensors", header(one([1], [0, 4])[:-1] + b"," + one([1], [0, 4])[1:], bytes(4))),
    "a deep header": file_of("model.safetensors", header(DEEP)),
    "deep notes": file_of(
        "model.safetensors", header(one([1], [0, 4], __metadata__={"lossreg": DEEP.decode()}), bytes(4))
    ),
    "an alien dtype": file_of("model.safetensors", header(one([1], [0, 4]).replace(b"F32", b"os.system"), bytes(4))),
    "a deep state": file_of("state.json", b'{"format":1,"state":' + DEEP + b"}"),
    "a deep state of objects": file_of("state.json", b'{"state":' * 10_000 + b"1" + b"}" * 10_000),
    "a number of a million digits": file_of("state.json", b'{"format":1,"state":' + b"9" * 1_000_000 + b"}"),
    "NaN": file_of("state.json", b'{"format":1,"state":NaN}'),
    "Infinity": file_of("state.json", b'{"format":1,"state":-Infinity}'),
    "bytes that are no text": file_of("state.json", b'{"format":1,"state":"\xff\xfe"}'),
    "a state that is a list": file_of("state.json", b"[]"),
    "an empty state": file_of("state.json", b""),
    "a codec of os.system": state_of({"$codec": "os.system", "of": COMMAND}),
    "an enum of os": state_of({"$enum": ["os", "system"]}),
    "an unknown mark": state_of({"$os.system": COMMAND}),
    "a dtype of objects": state_of({"$array": {"$tensor": "x"}, "dtype": "O", "shape": [1]}),
    "a tensor that is not there": state_of({"$tensor": "../../../etc/passwd"}),
    "a tensor of a larger shape": state_of(
        {"$tensor": "optimizer.momentum", "shape": [1 << 40], "stride": [0], "offset": 0}
    ),
    "a tensor from before its memory": state_of(
        {"$tensor": "optimizer.momentum", "shape": [1], "stride": [1], "offset": -64}
    ),
    "a path that leads out": listed("../../elsewhere.json"),
    "an absolute path": listed("/etc/passwd"),
    "a path in a folder": listed("sub/state.json"),
    "a name with a null byte": listed("a\0.json"),
    "a name without end": listed("a" * 5000 + ".json"),
    "the manifest itself": listed("manifest.json"),
    "a file that is not there": listed("more.json"),
    "a length below zero": listed("more.json", bytes=-1),
    "a length that is a text": listed("more.json", bytes="0"),
    "a hash that is none": listed("more.json", sha256="0" * 63),
    "facts that are a list": lambda path: sign(path, facts=[1]),
    "another format": lambda path: sign(path, format=2),
    "a manifest that is deep": left("manifest.json", DEEP),
    "a manifest that is large": left("manifest.json", b" " * 5_000_000),
    "a link to a file": in_place_of_a_file(lambda file: file.symlink_to("/etc/passwd")),
    "a link to what was there": in_place_of_a_file(
        lambda file: file.symlink_to(file.parent.parent.parent / "elsewhere")
    ),
    "a pipe": in_place_of_a_file(os.mkfifo),
    "a folder": in_place_of_a_file(Path.mkdir),
    "a file too many": left("more", b""),
    "a folder too many": lambda path: (path / "more").mkdir(),
    "a link to a checkpoint": link,
}


def use(folder: Path) -> None:
    """What a resumed run does."""
    checkpoint = CheckpointFolder(folder).newest()
    checkpoint.read_weights()
    checkpoint.read_state()


def outside(folder: Path) -> list[str]:
    """What there is beside a folder."""
    return sorted(path.name for path in folder.parent.iterdir())


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_checkpoint(scratch: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """One clear error; nothing is run, and nothing is written."""
    monkeypatch.chdir(scratch)
    folder = scratch / "checkpoints"
    save(folder, 1)
    ATTACKS[name](folder / "step-1")
    before = outside(folder)
    with pytest.raises(CheckpointError) as caught:
        use(folder)
    lines = str(caught.value).splitlines()
    assert len(lines) <= 2, lines
    assert str(folder / "step-1") in lines[-1]
    assert max(map(len, lines)) < 600
    assert outside(folder) == before


def test_flips_in_a_signed_checkpoint(campaign: Campaign, scratch: Path) -> None:
    """Whatever the files hold, they are read, or there is one clear error."""
    folder = scratch / "checkpoints"
    save(folder, 1)
    files = [folder / "step-1" / name for name in ("model.safetensors", "state.safetensors", "state.json")]
    for turn in range(campaign.of(300, 10_000)):
        file = files[turn % 3]
        data = file.read_bytes()
        changed = bytearray(data)
        for _ in range(campaign.random.randint(1, 3)):
            place = campaign.random.randrange(min(len(data), 600))  # most of a file is numbers, of which all are right
            changed[place] = campaign.random.choice(b'0123456789[]{}$",.-eNa\\\0\xff')
        file.write_bytes(changed)
        sign(folder / "step-1")
        campaign.count("flips")
        try:
            use(folder)
        except CheckpointError as error:
            campaign.count("errors")
            if "\n" in str(error).removeprefix(f"no checkpoint in {folder} can be used:\n"):
                raise
        file.write_bytes(data)


def test_control_of_hostile_checkpoints(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gadget does run where a file is unpickled; and a checkpoint that is only signed anew can be used."""
    monkeypatch.chdir(scratch)
    save(scratch / "checkpoints", 1)
    sign(scratch / "checkpoints" / "step-1")
    use(scratch / "checkpoints")
    pickle.loads(pickle.dumps(Gadget(COMMAND)))  # noqa: S301  # this is what it must not do
    assert (scratch / "RAN").exists()
