"""A past run's model in a format of other programs, compared with the original before the file takes its place."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import attrs
import torch
from torch import Tensor, nn

from lossreg.errors import ConfigError, ContractError, MissingLibraryError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.trained.loading import LoadedRun
from lossreg.training.record.outputs import check_output, output_file, written
from lossreg.values import one_line, shown

Format = Literal["onnx", "torchscript", "pt2"]

SUFFIX: dict[Format, str] = {"onnx": ".onnx", "torchscript": ".torchscript.pt", "pt2": ".pt2"}
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")  # of lossreg[onnx]
EXAMPLES = 3  # inputs that the model is exported with
CHECKED = 5  # inputs that both are compared on: another number, since any shall do
SEED = 0

#: Type of the weights -> by how much an output may differ, as a share of the greatest output (at least 1).
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 5e-3}


@attrs.frozen
class Exported:
    """A file with a model.

    Attributes:
        file: Where it is.
        format: `onnx`, `torchscript` or `pt2`.
        difference: The greatest difference between an output of it and of the original.
        tolerance: The greatest that is taken for equal.
        samples: How many inputs were compared.
        weights: Which weights it holds.
    """

    file: Path
    format: Format
    difference: float
    tolerance: float
    samples: int
    weights: str | None

    def to_json(self) -> dict[str, Any]:
        """The values as JSON has them."""
        return {**attrs.asdict(self), "file": str(self.file)}


def export_place(run: str | Path, to: Format, out: str | None) -> Path:
    """Where the exported model goes, checked before anything is loaded.

    Args:
        run: The run directory.
        to: The format.
        out: The file, as it was written; None is `model` with the suffix of the format, in the run directory.

    Raises:
        ConfigError: If no file can be there.
        MissingLibraryError: If the format needs a library that is not installed.
    """
    if to not in SUFFIX:
        raise ConfigError(f"a model is exported to one of {', '.join(SUFFIX)}, not {shown(to)}")
    missing = [name for name in LIBRARIES if to == "onnx" and importlib.util.find_spec(name) is None]
    if missing:
        raise MissingLibraryError(
            f"an export to onnx needs {' and '.join(missing)}: pip install 'lossreg[onnx]'", library=missing[0]
        )
    if out is not None:
        return output_file(out, "--out")
    place = Path(run) / f"model{SUFFIX[to]}"
    check_output(place, one_line(str(place)))
    return place


def export_run(run: LoadedRun, to: Format, place: Path) -> Exported:
    """Exports the model of a run, in float32 or what its weights are, with a batch of any size.

    Args:
        run: What `load_run` gave, on the CPU.
        to: The format.
        place: The file; it is there only if the exported model gives what the original gives.

    Raises:
        ConfigError: If the model cannot be exported, or the file not be written.
        ContractError: If the exported model gives something else.
    """
    model = run.model.eval()
    examples, inputs = _inputs(run, EXAMPLES, SEED), _inputs(run, CHECKED, SEED + 1)
    expected = _called(model, inputs, "the model", run)
    write, read = _FORMATS[to]
    with written(place) as partial:
        with _exporting(to, run):
            write(model, examples, partial)
        with _exporting(to, run):
            got = read(partial, inputs)
        difference, tolerance = _compare(expected, got, to, run)
    return Exported(place, to, difference, tolerance, CHECKED, run.weights)


def _inputs(run: LoadedRun, count: int, seed: int) -> Tensor:
    """Inputs of the run's shape: normal numbers, or for whole numbers 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, *run.data.in_shape)
    if run.in_dtype.is_floating_point:
        return torch.randn(shape, generator=generator, dtype=run.in_dtype)
    return torch.randint(2, shape, generator=generator).to(run.in_dtype)


def _called(model: nn.Module, inputs: Tensor, what: str, run: LoadedRun) -> Tensor:
    place = one_line(str(run.directory))
    try:
        with torch.no_grad():
            output: Any = model(inputs)
    except BaseException as error:
        if is_from_outside(error):
            raise
        raise ContractError(
            f"{what} of {place} failed on a batch of shape {tuple(inputs.shape)}: {describe_error(error)}"
        ) from error
    if not isinstance(output, Tensor):
        raise ContractError(f"{what} of {place} returns a {type(output).__name__}; a tensor is needed")
    return output


def _compare(expected: Tensor, got: Tensor, to: Format, run: LoadedRun) -> tuple[float, float]:
    """The greatest difference, and the greatest that is allowed."""
    weights = next((one.dtype for one in run.model.parameters() if one.is_floating_point()), torch.float32)
    share = TOLERANCES.get(weights, TOLERANCES[torch.float32])
    place = one_line(str(run.directory))
    if got.shape != expected.shape:
        raise ContractError(
            f"the model of {place}, exported to {to}, gives {tuple(got.shape)} where the original gives "
            f"{tuple(expected.shape)}, for a batch of another size than it was exported with; nothing was written"
        )
    tolerance = share * max(1.0, float(expected.abs().max()) if expected.numel() else 1.0)
    difference = float((got.double() - expected.double()).abs().max()) if expected.numel() else 0.0
    if not difference <= tolerance:  # NaN is in no range
        raise ContractError(
            f"the model of {place}, exported to {to}, differs from the original by up to {difference:.3g}, more than "
            f"{tolerance:.3g}; nothing was written"
        )
    return difference, tolerance


@contextlib.contextmanager
def _exporting(to: Format, run: LoadedRun) -> Iterator[None]:
    """What torch's exporters raise becomes one line, and what they print and log stays away."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [one.level for one in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about itself
            for one in loggers:
                one.setLevel(logging.ERROR)
            yield
    except (OSError, MemoryError):
        raise
    except BaseException as error:
        if is_from_outside(error):
            raise
        first = describe_error(error)
        raise ConfigError(
            f"the model of {one_line(str(run.directory))} cannot be exported to {to}: {first[:400]}"
        ) from error
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


def _write_torchscript(model: nn.Module, examples: Tensor, file: Path) -> None:
    with torch.no_grad():
        traced: Any = torch.jit.trace(model, (examples,), check_trace=False)
    with file.open("wb") as stream:
        torch.jit.save(traced, stream)


def _read_torchscript(file: Path, inputs: Tensor) -> Tensor:
    with file.open("rb") as stream, torch.no_grad():
        output: Tensor = torch.jit.load(stream, map_location="cpu")(inputs)
    return output


def _write_pt2(model: nn.Module, examples: Tensor, file: Path) -> None:
    with file.open("wb") as stream:
        torch.export.save(_exported(model, examples), stream)


def _exported(model: nn.Module, examples: Tensor) -> torch.export.ExportedProgram:
    """The model as a graph, for a batch of any size."""
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad():
        return torch.export.export(model, (examples,), dynamic_shapes=({0: batch},))


def _read_pt2(file: Path, inputs: Tensor) -> Tensor:
    with file.open("rb") as stream, torch.no_grad():
        output: Tensor = torch.export.load(stream).module()(inputs)
    return output


def _write_onnx(model: nn.Module, examples: Tensor, file: Path) -> None:
    import onnx

    program = torch.onnx.export(
        model,
        (examples,),
        dynamo=True,
        input_names=["input"],
        output_names=["output"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        verbose=False,
    )
    assert program is not None  # noqa: S101  # with dynamo it is given back
    file.write_bytes(onnx.ModelProto.SerializeToString(program.model_proto))


def _read_onnx(file: Path, inputs: Tensor) -> Tensor:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    (output,) = session.run(["output"], {"input": inputs.numpy()})
    return torch.from_numpy(output)


_FORMATS: dict[Format, tuple[Callable[[nn.Module, Tensor, Path], None], Callable[[Path, Tensor], Tensor]]] = {
    "onnx": (_write_onnx, _read_onnx),
    "torchscript": (_write_torchscript, _read_torchscript),
    "pt2": (_write_pt2, _read_pt2),
}
