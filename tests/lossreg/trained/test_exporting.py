"""Models in the formats of other programs: they give what the original gives, or there is no file."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg.trained.exporting import SUFFIX, Format, export_place, export_run
from tests.lossreg.trained.conftest import load_run

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.trained.conftest import Run

FORMATS = [pytest.param(to, marks=[pytest.mark.heavy] if to == "onnx" else []) for to in get_args(Format)]


def outputs_of(file: Path, to: Format, inputs: Tensor) -> np.ndarray[Any, Any]:
    """What another program gives for a file."""
    if to == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        found: np.ndarray[Any, Any] = session.run(None, {"input": inputs.numpy()})[0]
        return found
    with torch.no_grad():
        if to == "pt2":
            with file.open("rb") as stream:
                return np.asarray(torch.export.load(stream).module()(inputs))
        with file.open("rb") as stream:
            return np.asarray(torch.jit.load(stream)(inputs))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:FutureWarning")  # of the test's own call
@pytest.mark.parametrize("to", FORMATS)
def test_an_exported_model_gives_what_the_original_gives(run: Run, to: Format, tmp_path: Path) -> None:
    """For a batch of any size, with an average of the weights, and with dropout that drops none."""
    here = lossreg.load_registries(allow=[])
    here.models.register("dropping")(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.BatchNorm1d(16), nn.Dropout(), nn.Linear(16, 10)),
    )
    result = run(model="dropping", registries=here, weights="ema(0.5)")
    loaded = load_run(result.directory, registries=here)
    told = export_run(loaded, to, tmp_path / "model")
    assert told.weights == "ema(0.5)"
    assert told.difference <= told.tolerance
    for size in (1, 8):
        inputs = torch.rand(size, 1, 28, 28)
        expected = result.model.eval()(inputs).detach().numpy()
        np.testing.assert_allclose(outputs_of(tmp_path / "model", to, inputs), expected, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["model"]


class Moody(nn.Module):
    """A model whose output depends on how many samples are in a batch, which a trace does not see."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(784, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        """Adds one for batches of three."""
        output: Tensor = self.head(inputs.flatten(1))
        return output + 1 if len(inputs) == 3 else output


@pytest.mark.parametrize("to", FORMATS)
def test_a_model_that_would_be_another_is_not_written(run: Run, to: Format, tmp_path: Path) -> None:
    """The trace differs by 1 for another batch; the other formats refuse it. There is no file in any case."""
    loaded = load_run(run(model=Moody()).directory, model=Moody())
    place = tmp_path / "model"
    expected = lossreg.ContractError if to == "torchscript" else lossreg.ConfigError
    with pytest.raises(expected) as caught:
        export_run(loaded, to, place)
    if to == "torchscript":
        assert "exported to torchscript, differs from the original by up to 1, more than" in str(caught.value)
    else:
        assert f"cannot be exported to {to}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_file_that_is_there_stays_when_the_export_fails(run: Run, tmp_path: Path) -> None:
    """It is replaced by a whole one, or not at all."""
    loaded = load_run(run(model=Moody()).directory, model=Moody())
    (tmp_path / "model").write_text("mine")
    with pytest.raises(lossreg.ContractError):
        export_run(loaded, "torchscript", tmp_path / "model")
    assert (tmp_path / "model").read_text() == "mine"


def test_whole_numbers_and_other_types(run: Run, tmp_path: Path) -> None:
    """A model of tokens is exported with whole numbers, and one in float64 is compared to 1e-9."""
    tokens = torch.randint(10, (20, 4))
    data = lossreg.Data((tokens, tokens[:, 0] % 2), (tokens, tokens[:, 0] % 2), "classification", (4,), num_classes=2)
    model = nn.Sequential(nn.Embedding(10, 3), nn.Flatten(), nn.Linear(12, 2)).double()
    loaded = load_run(run(data=data, model=model, limit_train=None, limit_test=None).directory, model=model)
    told = export_run(loaded, "pt2", tmp_path / "model")
    assert 1e-9 <= told.tolerance < 1e-8
    inputs = torch.randint(10, (7, 4))
    np.testing.assert_allclose(
        outputs_of(tmp_path / "model", "pt2", inputs), model(inputs).detach().numpy(), atol=1e-12
    )


def test_where_the_file_goes(run: Run, tmp_path: Path) -> None:
    """In the run directory under the name of the format, or where --out says; a place where none can be is an error."""
    directory = run().directory
    assert export_place(directory, "pt2", None) == directory / f"model{SUFFIX['pt2']}"
    assert export_place(directory, "pt2", str(tmp_path / "x")) == tmp_path / "x"
    with pytest.raises(lossreg.ConfigError, match="is a directory"):
        export_place(directory, "pt2", str(tmp_path))
    with pytest.raises(lossreg.ConfigError, match="a model is exported to one of onnx, torchscript, pt2"):
        export_place(directory, "tf", None)  # type: ignore[arg-type]  # that is what is tried


def test_a_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install, before anything is loaded."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "onnxscript" else found(name, *rest)
    )
    with pytest.raises(lossreg.MissingLibraryError) as caught:
        export_place(tmp_path, "onnx", None)
    assert caught.value.message == "an export to onnx needs onnxscript: pip install 'lossreg[onnx]'"
    assert export_place(tmp_path, "pt2", None) == tmp_path / "model.pt2"


def test_the_command(run: Run, lossreg_command: Command) -> None:
    """`lossreg export` says where the file is, which weights it holds, and the greatest difference."""
    directory = run().directory
    outcome = lossreg_command("export", str(directory), "--to", "pt2")
    assert outcome.code == 0
    lines = dict(line.split(maxsplit=1) for line in outcome.out.splitlines())
    assert lines["file"] == str(directory / "model.pt2")
    assert lines["weights"] == "raw"
    assert lines["greatest_difference"].endswith("(at most 0.0001)")
    told = json.loads(lossreg_command("export", str(directory), "--to", "pt2", "--out", "x.pt2", "--json").out)
    assert (told["file"], told["format"], told["weights"], told["samples"]) == ("x.pt2", "pt2", "raw", 5)
    assert Path("x.pt2").exists()


def test_errors_of_the_command(run: Run, lossreg_command: Command, tmp_path: Path) -> None:
    """Each is one line and exit code 2, and no file is left."""
    directory = str(run(model=Moody()).directory)
    for words, said in (
        (["nowhere", "--to", "pt2", "--out", "x"], "there is no run directory nowhere"),
        (["nowhere", "--to", "pt2"], "there is no directory nowhere"),
        ([directory, "--to", "pt2"], "its model was a Python object"),
        ([directory, "--to", "coreml"], "'coreml' is not one of"),
        ([directory], "Missing option '--to'"),
    ):
        outcome = lossreg_command("export", *words)
        assert (outcome.code, outcome.out) == (2, "")
        assert said in outcome.err
        assert "Traceback" not in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == [Path(directory).name]
