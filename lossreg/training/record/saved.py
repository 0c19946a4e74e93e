"""The weights that a run left behind: in its directory, or in one of its checkpoints."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import torch

from lossreg.checkpoints.checkpoint import Checkpoint
from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.checkpoints.weights_file import read_weights
from lossreg.errors import ConfigError, describe_error
from lossreg.training.record.files import to_count, to_text
from lossreg.training.record.reading import read_run
from lossreg.training.record.run_json import NAME
from lossreg.values import one_line, shown

MODEL, LOSS = "model.safetensors", "loss.safetensors"
OLD: Mapping[str, str] = {MODEL: "model.pt", LOSS: "loss.pt"}  # as runs of before wrote them, with torch.save
CHECKPOINTS = "checkpoints"  # the folder in a run directory
LAST, BEST = "last", "best"
_NO_WEIGHTS = (
    "it is no file of torch.save, and is not named .safetensors; name a run directory, a checkpoint's directory, or a "
    "file of weights"
)


@attrs.frozen(eq=False)
class SavedWeights:
    """Weights from a file.

    Attributes:
        state: The `state_dict()`, on the CPU.
        file: Where they were read from.
        held: Which weights they are: `raw`, `optimizer`, or an average such as `ema(0.999)`; None if that is not known.
        epoch: The epoch at whose end, or in which, they were kept; None if that is not known.
        step: Steps of the optimizer that were done; None if that is not known.
    """

    state: Mapping[str, Any]
    file: Path
    held: str | None = None
    epoch: int | None = None
    step: int | None = None


def read_saved(file: Path) -> SavedWeights:
    """Reads one file of weights: tensors and plain values only, whatever the file says.

    Args:
        file: A `.safetensors` file, or a `.pt` file of a `state_dict()`.

    Raises:
        ConfigError: If it does not exist, or cannot be read as one.
    """
    _check_file(file)
    if file.suffix == ".safetensors":
        state, facts = read_weights(file.resolve())  # a person may name a link
        return SavedWeights(state, file, facts.get("weights"), _count(facts.get("epoch")), _count(facts.get("step")))
    _check_packing(file)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file of unknown origin makes of torch's reader
        first = describe_error(error).partition(". ")[0] if _is_of_torch(file) else _NO_WEIGHTS
        raise ConfigError(f"{one_line(str(file))} cannot be read as weights: {first}") from error
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise ConfigError(f"{one_line(str(file))} holds a {type(state).__name__}, not a state_dict()")
    return SavedWeights(state, file)


def _is_of_torch(file: Path) -> bool:
    """Whether a file begins as those of torch.save do: it is an archive, or a pickle of before torch 1.6."""
    with file.open("rb") as stream:
        return stream.read(2) in (b"PK", b"\x80\x02")


def _check_packing(file: Path) -> None:
    """Checks that a file of torch is as long as what is in it: torch packs nothing, and unpacks whatever is packed."""
    try:
        with zipfile.ZipFile(file) as archive:
            is_packed = any(
                member.compress_type != zipfile.ZIP_STORED or member.file_size > member.compress_size
                for member in archive.infolist()
            )
    except Exception:  # it is no archive, or a damaged one, of which torch's reader tells
        return
    if is_packed:
        raise ConfigError(
            f"{one_line(str(file))} cannot be read as weights: it is compressed, as torch.save never does"
        )


def _check_file(file: Path) -> None:
    """Checks that a file can be read without waiting for it."""
    name = one_line(str(file))
    try:
        is_regular = stat.S_ISREG(os.stat(file).st_mode)  # noqa: PTH116  # a Path raises for what cannot be a name
    except FileNotFoundError:
        raise ConfigError(f"the file {name} does not exist") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not is_regular:
        raise ConfigError(f"{name} cannot be read: it is not a regular file")


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None


@attrs.frozen(eq=False)
class KeptWeights:
    """The weights of a run.

    Attributes:
        model: Of the model.
        loss: Of the loss, if it was trained; else None.
    """

    model: SavedWeights
    loss: SavedWeights | None


def read_kept(directory: str | Path, checkpoint: str | None = None) -> KeptWeights:
    """Reads the weights of a run.

    Args:
        directory: The run directory.
        checkpoint: None for the weights at the end of the run; `last`, `best` or a name for a checkpoint, which is
            verified.

    Raises:
        ConfigError: If it is not a run directory, or has no such weights.
        LossregError: If they are damaged.
    """
    run = read_run(directory)
    place = run.directory
    if checkpoint is not None:
        return _of_checkpoint(place, checkpoint)
    files = run.facts.get("files")
    model = _find(place, MODEL)
    if model is None:
        raise ConfigError(one_line(f"{place} has no weights: {_why_none(place, run.status, run.reason)}"))
    loss = _find(place, LOSS)
    return KeptWeights(_told(model, files), None if loss is None else _told(loss, files))


def _find(place: Path, name: str) -> Path | None:
    """The file of this name, or under its name of before."""
    # A link that leads nowhere is an error to tell of.
    return next((place / one for one in (name, OLD[name]) if os.path.lexists(place / one)), None)


def _told(file: Path, files: Any) -> SavedWeights:
    """The weights of a file; where it does not say which they are, run.json does."""
    saved = read_saved(file)
    facts = files.get(file.name) if isinstance(files, Mapping) else None
    if saved.held is not None or not isinstance(facts, Mapping):
        return saved
    return attrs.evolve(
        saved,
        held=to_text(facts.get("weights")),
        epoch=to_count(facts.get("epoch")),
        step=to_count(facts.get("step")),
    )


def _why_none(place: Path, status: str, reason: str | None) -> str:
    if status == "running":
        return f"the run is still under way; they are written at its end{_or_checkpoint(place)}"
    because = f": {reason}" if reason else ""
    return f"the run is {status}{because}{_or_checkpoint(place)}"


def _or_checkpoint(place: Path) -> str:
    names = [one.path.name for one in CheckpointFolder(place / CHECKPOINTS).list()]
    return f"; it has checkpoints ({', '.join(names)}): checkpoint={LAST} (--checkpoint {LAST})" if names else ""


def _of_checkpoint(place: Path, name: str) -> KeptWeights:
    """The weights of a checkpoint, verified."""
    checkpoint = find_checkpoint(place, name)
    facts = checkpoint.facts
    checkpoint.verify()

    def read(which: str) -> SavedWeights:
        return SavedWeights(
            checkpoint.read_weights(which),
            checkpoint.path / f"{which}.safetensors",
            to_text(facts.get("weights")),
            to_count(facts.get("epoch")),
            to_count(facts.get("step")),
        )

    return KeptWeights(read("model"), read("loss") if LOSS in checkpoint.manifest.files else None)


def find_checkpoint(place: Path, name: str) -> Checkpoint:
    """A checkpoint of a run.

    Args:
        place: The run directory.
        name: `last`, `best`, or its name.

    Raises:
        ConfigError: If there is none of this name.
        LossregError: If `last` is asked for, and all are damaged.
    """
    folder = CheckpointFolder(place / CHECKPOINTS)
    found = folder.list()
    if not found:
        raise ConfigError(one_line(f"{place} has no checkpoints"))
    if name == LAST:
        return folder.newest()
    named = next((one for one in found if one.path.name == name), None)
    best = next((one for one in found if name == BEST and one.facts.get(BEST)), None)
    chosen = named or best
    if chosen is None:
        names = ", ".join(one.path.name for one in found)
        raise ConfigError(one_line(f"{place} has no checkpoint {shown(name)}; it has {names}, and the word {LAST}"))
    return chosen


def read_source(source: str | Path) -> SavedWeights:
    """The model's weights of a past run, of a checkpoint, or of a file.

    Args:
        source: A run directory, a checkpoint's directory, or a `.safetensors` or `.pt` file.

    Raises:
        LossregError: If there are none, or they are damaged.
    """
    place = Path(source).expanduser()
    if not os.path.isdir(place):  # noqa: PTH112  # a Path raises for what cannot be a name
        return read_saved(place)
    if place.parent.name == CHECKPOINTS and not os.path.lexists(place / NAME):  # see above
        return _of_checkpoint(place.parent.parent, place.name).model
    return read_kept(place).model
