"""Run directories that someone made to do harm, by every command that comes back to one."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lossreg
from tests.conftest import Command
from tests.faults.test_hostile_checkpoints import DEEP, Gadget, bomb, header, one, sign, torch_file

Attack = Callable[[Path], object]  # is given the run directory, beside which is a folder `outside`

COMMAND = "touch RAN"
COMMANDS: dict[str, tuple[str, ...]] = {
    "resume": ("run", "--resume", "run", "--epochs", "2", "--quiet"),
    "repeat": ("run", "-c", "run/run.json", "--out", "new", "--quiet"),
    "eval": ("eval", "run", "--device", "cpu"),
    "predict": ("predict", "run", "input.npy", "--device", "cpu"),
    "export": ("export", "run", "--to", "torchscript", "--out", "model.ts"),
    "init": ("run", "--init-from", "run", "--model", "mlp", "--limit-train", "64", "--epochs", "1", "--out", "new"),
    "runs": ("runs", "."),
    "report": ("report", "run"),
}
COMING_BACK = ("resume", "repeat", "eval", "predict", "export", "init")
LOADING = ("eval", "predict", "export", "init")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch with a checkpoint."""
    out = tmp_path_factory.mktemp("whole") / "run"
    lossreg.run(
        loss="dice", optimizer="sgd(lr=0.05)", model="mlp", epochs=1, limit_train=64, limit_test=32, out=out,
        quiet=True, device="cpu",
    )  # fmt: skip
    return out


@pytest.fixture
def scene(whole: Path, tmp_path: Path) -> Path:
    """A folder with the run, an input, and `outside`, in which nothing may change."""
    shutil.copytree(whole, tmp_path / "run")
    np.save(tmp_path / "input.npy", np.zeros((1, 28, 28), np.float32))
    outside = tmp_path / "outside"
    (outside / "checkpoints" / ".step-9.partial").mkdir(parents=True)
    (outside / "checkpoints" / ".step-9.partial" / "precious").write_text("precious")
    (outside / "precious").write_text("precious\n" * 1000)
    return tmp_path


def state_of(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, with the content of files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in sorted(folder.rglob("*"))
    }


def weights(name: str, data: bytes) -> Attack:
    """The weights at the end of the run."""

    def attack(run: Path) -> None:
        (run / "model.safetensors").unlink()
        (run / name).write_bytes(data)

    return attack


def instead(name: str, make: Callable[[Path], object]) -> Attack:
    """Something else in place of a file."""

    def attack(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        make(run / name)

    return attack


def linked(name: str, to: str) -> Attack:
    """A link in place of a file, or of nothing."""
    return instead(name, lambda path: path.symlink_to(path.parent.parent / to))


def record(change: Callable[[dict[str, Any]], object]) -> Attack:
    """Another run.json."""

    def attack(run: Path) -> None:
        content = json.loads((run / "run.json").read_text())
        change(content)
        (run / "run.json").write_text(json.dumps(content))

    return attack


def component(field: str, name: str, **more: Any) -> Attack:
    """Another component, also in what it was built of."""

    def change(content: dict[str, Any]) -> None:
        content["spec"][field] = name
        content["components"][field] = {**content["components"][field], "id": name, **more}

    return record(change)


def in_checkpoint(change: Callable[[Path], object], **facts: Any) -> Attack:
    """Another checkpoint, whose manifest is right."""

    def attack(run: Path) -> None:
        (path,) = (run / "checkpoints").iterdir()
        told = json.loads((path / "manifest.json").read_text())["facts"]
        change(path)
        sign(path, facts={key: value for key, value in {**told, **facts}.items() if value != "gone"})

    return attack


def state(change: Callable[[dict[str, Any]], Any]) -> Attack:
    """Another state in the checkpoint."""

    def edit(path: Path) -> None:
        content = json.loads((path / "state.json").read_text())
        content["state"] = change(content["state"])
        (path / "state.json").write_text(json.dumps(content))

    return in_checkpoint(edit)


def shared(**values: Any) -> Attack:
    """Other values in what all processes share."""
    return state(lambda held: {**held, "shared": {**held["shared"], **values}})


def linked_folder(run: Path) -> None:
    """The folder of checkpoints is elsewhere."""
    (run / "checkpoints").rename(run.parent / "outside" / "theirs")
    (run / "checkpoints").symlink_to(run.parent / "outside" / "checkpoints")


def packed(size: int) -> bytes:
    """A file of torch whose tensors are packed."""
    plain, out = io.BytesIO(), io.BytesIO()
    torch.save({"weight": torch.zeros(size)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    return out.getvalue()


def script() -> bytes:
    """A program of TorchScript."""
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, that it is deprecated
        torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.zeros(1)), data)
    return data.getvalue()


def tarred() -> bytes:
    """A tar file with members that lead out."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as file:
        for name in ("../outside/new", "/tmp/lossreg-outside", "storages", "tensors", "pickle"):  # noqa: S108  # never made
            file.addfile(tarfile.TarInfo(name))
    return data.getvalue()


#: What is done -> (how, the commands that must refuse it; by the others it does no harm).
ATTACKS: dict[str, tuple[Attack, tuple[str, ...]]] = {
    "a pickle as model.pt": (weights("model.pt", pickle.dumps(Gadget(COMMAND))), LOADING),
    "a torch file that calls, as model.pt": (weights("model.pt", torch_file(COMMAND)), LOADING),
    "a pickle of protocol 0 as model.pt": (weights("model.pt", pickle.dumps(Gadget(COMMAND), 0)), LOADING),
    "a packed model.pt": (weights("model.pt", packed(50_000_000)), LOADING),
    "a zip bomb as model.pt": (weights("model.pt", bomb()), LOADING),
    "a program as model.pt": (weights("model.pt", script()), LOADING),
    "a tar as model.pt": (weights("model.pt", tarred()), LOADING),
    "a pickle as model.safetensors": (weights("model.safetensors", pickle.dumps(Gadget(COMMAND))), LOADING),
    "a torch file as model.safetensors": (weights("model.safetensors", torch_file(COMMAND)), LOADING),
    "a header of 2**62 bytes": (weights("model.safetensors", struct.pack("<Q", 1 << 62) + b"{}"), LOADING),
    "a header of 99 MB": (weights("model.safetensors", struct.pack("<Q", 99_000_000) + b"{}"), LOADING),
    "a tensor of 2**62 elements": (weights("model.safetensors", header(one([1 << 62], [0, 1 << 64]))), LOADING),
    "a deep header": (weights("model.safetensors", header(DEEP)), LOADING),
    "a pipe as model.safetensors": (instead("model.safetensors", os.mkfifo), LOADING),
    "a folder as model.safetensors": (instead("model.safetensors", Path.mkdir), LOADING),
    "a link as model.safetensors": (linked("model.safetensors", "outside/precious"), LOADING),
    "os.system as the model": (component("model", "os.system"), ("resume", "repeat", "eval", "predict", "export")),
    "os:system as the model": (component("model", "os:system"), ("resume", "repeat", "eval", "predict", "export")),
    "an import as the loss": (component("loss", "__import__('os')"), ("resume", "repeat", "eval")),
    "a call of a path as the optimizer": (component("optimizer", "../../outside/precious"), ("resume", "repeat")),
    "a file as the plugin of the model": (
        component("model", "evil.model", plugin="evil", file="../outside/evil.py"),
        ("resume", "repeat", "eval", "predict", "export"),
    ),
    "a factory in run.json": (
        record(lambda content: content["components"]["model"].update(factory="os:system", params={"a": COMMAND})),
        (),
    ),
    "terminal codes in run.json": (
        record(lambda content: content["components"]["model"].update(id="\x1b[2J\nlossreg: done", version="\n\n")),
        ("resume", "repeat", "eval", "predict", "export"),
    ),
    "weights to begin with that are elsewhere": (
        record(lambda content: content["spec"].update(init_from="outside/precious")),
        ("repeat",),
    ),
    "a deep run.json": (lambda run: (run / "run.json").write_bytes(DEEP), (*COMING_BACK, "report")),
    "a pickle as run.json": (
        lambda run: (run / "run.json").write_bytes(pickle.dumps(Gadget(COMMAND))),
        (*COMING_BACK, "report"),
    ),
    "a pipe as run.json": (instead("run.json", os.mkfifo), COMING_BACK),
    "a device as run.json": (
        instead("run.json", lambda path: path.symlink_to("/dev/zero")),
        (*COMING_BACK, "report"),
    ),
    "a pickle in a checkpoint": (
        in_checkpoint(lambda path: (path / "model.safetensors").write_bytes(pickle.dumps(Gadget(COMMAND)))),
        ("resume",),
    ),
    "a pickle as a state": (
        in_checkpoint(lambda path: (path / "state.json").write_bytes(pickle.dumps(Gadget(COMMAND)))),
        ("resume",),
    ),
    "a codec of os.system": (state(lambda _: {"$codec": "os.system", "of": COMMAND}), ("resume",)),
    "a state that is a number": (state(lambda _: 1), ("resume",)),
    "a state without parts": (state(lambda _: {"shared": {}, "own": [], "best_name": None}), ("resume",)),
    "a state of text": (shared(epoch="1; touch RAN"), ("resume",)),
    "a step below zero": (shared(step=-1), ("resume",)),
    "a huge epoch": (shared(epoch=1 << 70), ("resume",)),
    "an alien phase": (shared(phase="os.system"), ("resume",)),
    "an optimizer of text": (shared(optimizer="os.system"), ("resume",)),
    "a schedule that is none": (shared(schedule=[1, 2]), ("resume",)),
    "a checkpoint without a step": (in_checkpoint(lambda _: None, step="gone"), ("resume",)),
    "metrics of 2**62 bytes": (in_checkpoint(lambda _: None, metrics_bytes=1 << 62), ("resume",)),
    "metrics of -1 bytes": (in_checkpoint(lambda _: None, metrics_bytes=-1), ("resume",)),
    "checkpoints elsewhere": (linked_folder, ("resume",)),
    "metrics.jsonl elsewhere": (linked("metrics.jsonl", "outside/precious"), ("resume",)),
    "a pipe as metrics.jsonl": (instead("metrics.jsonl", os.mkfifo), ("resume",)),
    "a claim elsewhere": (linked(".claimed", "outside/new"), ("resume",)),
    "run.json begun elsewhere": (linked(".run.json.partial", "outside/precious"), ()),
    "weights begun elsewhere": (linked(".model.safetensors.partial", "outside/precious"), ()),
    "a picture elsewhere": (linked("curves.png", "outside/precious"), ()),
    "a picture begun elsewhere": (linked(".curves.png.partial", "outside/precious"), ()),
    "a page begun elsewhere": (linked(".report.html.partial", "outside/precious"), ()),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_run_directory(
    name: str, scene: Path, lossreg_command: Command, request: pytest.FixtureRequest
) -> None:
    """One clear line and exit code 2; nothing is run, and nothing outside changes."""
    attack, refused = ATTACKS[name]
    attack(scene / "run")
    before = state_of(scene / "outside")
    is_full = request.config.getoption("--faults", default="ci") == "full"
    harmless = tuple(COMMANDS) if is_full else ("resume", "report") if not refused else ()
    for each in dict.fromkeys((*refused, *harmless)):
        outcome = lossreg_command(*COMMANDS[each])
        assert "Traceback" not in outcome.err, (each, outcome.err)
        if each in refused:
            assert outcome.code == 2, (each, outcome)
            (line,) = (line for line in outcome.err.splitlines() if line.startswith("lossreg: error: "))
            assert outcome.err.rstrip().endswith(line), each
            assert len(line) < 1000
            assert not (scene / "new").exists(), each
        shutil.rmtree(scene / "new", ignore_errors=True)
        assert state_of(scene / "outside") == before, each
        assert not list(scene.rglob("RAN")), each
        assert "\x1b" not in outcome.out + outcome.err


@pytest.mark.parametrize("name", [name for name, (_, refused) in ATTACKS.items() if "eval" in refused])
def test_load_run_of_a_hostile_run_directory(name: str, scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function refuses what the commands refuse, with an error of lossreg's own."""
    monkeypatch.chdir(scene)
    ATTACKS[name][0](scene / "run")
    with pytest.raises(lossreg.LossregError) as caught:
        lossreg.load_run("run", device="cpu").check_loss()
    assert "\n" not in str(caught.value)
    assert not list(scene.rglob("RAN"))


def objects() -> bytes:
    """An array of Python objects, one of which runs a command."""
    data = io.BytesIO()
    np.save(data, np.array([Gadget(COMMAND)], dtype=object), allow_pickle=True)
    return data.getvalue()


def many_zeros() -> bytes:
    """An archive of arrays that claims 5 GB."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", b"\0" * 1000)
    return data.getvalue().replace(struct.pack("<I", 1000), struct.pack("<I", (5 << 30) & 0xFFFFFFFF))


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("a.npy", objects()), ("a.npy", pickle.dumps(Gadget(COMMAND))), ("a.npz", bomb()), ("a.npz", many_zeros()),
        ("a.npz", torch_file(COMMAND)), ("a.png", pickle.dumps(Gadget(COMMAND))),
        ("a.csv", b"=cmd|' /C calc'!A0\n1,2\n"), ("a.safetensors", torch_file(COMMAND)),
        ("a.npy", b"\x93NUMPY\x01\x00v\x00{'descr': __import__('os')}" + b" " * 99),
    ],
)  # fmt: skip
def test_a_hostile_input(file: str, data: bytes, scene: Path, lossreg_command: Command) -> None:
    """`predict` refuses it in one line, and nothing is run."""
    (scene / file).write_bytes(data)
    outcome = lossreg_command("predict", "run", file, "--device", "cpu")
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("lossreg: error: ")
    assert len(outcome.err.splitlines()) == 1
    assert not list(scene.rglob("RAN"))


@pytest.mark.parametrize("name", ["../run", "../../outside/checkpoints", "/etc", ".step-9.partial", "", "a\0b", "."])
def test_a_checkpoint_is_named_within_its_run(name: str, scene: Path, lossreg_command: Command) -> None:
    """A name that leads out is the name of no checkpoint."""
    outcome = lossreg_command("eval", "run", "--checkpoint", name, "--device", "cpu")
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.err


def test_control_of_hostile_run_directories(scene: Path, lossreg_command: Command) -> None:
    """What was not changed is resumed, repeated, evaluated and shown; and a link is followed by who is not careful."""
    for each in ("resume", "eval", "predict", "export", "init", "runs", "report"):
        outcome = lossreg_command(*COMMANDS[each])
        assert outcome.code == 0, (each, outcome)
    before = state_of(scene / "outside")
    linked("metrics.jsonl", "outside/precious")(scene / "run")
    (scene / "run" / "metrics.jsonl").write_text("")
    assert state_of(scene / "outside") != before
    pickle.loads(pickle.dumps(Gadget(COMMAND)))  # noqa: S301  # this is what it must not do
    assert list(scene.rglob("RAN"))
