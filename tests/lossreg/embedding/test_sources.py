"""Where the texts of `lossreg.parts` come from: files, past runs, mappings, specs."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch

import lossreg
from tests.table import for_each


def test_a_file_gives_texts_and_names_what_is_left_to_the_loop(tmp_path: Path) -> None:
    """Arguments win over the file; settings of the loop are told, not obeyed."""
    file = tmp_path / "run.toml"
    file.write_text('loss = "dice"\noptimizer = "adam(lr=1)"\nepochs = 7\nclip_grad_norm = 2.0\n', encoding="utf-8")
    parts = lossreg.parts(file, optimizer="sgd")
    assert parts.texts == {"loss": "builtin.dice", "optimizer": "builtin.sgd"}
    assert parts.loop.epochs == 7
    assert parts.describe()["left_to_the_loop"] == {"clip_grad_norm": 2.0}


def test_a_mapping_and_a_spec_give_the_same() -> None:
    """A RunSpec has all settings, a mapping some."""
    settings = {"loss": "dice", "param_groups": {"*.bias": "weight_decay=0"}, "epochs": 3}
    spec = lossreg.RunSpec(**settings)  # type: ignore[arg-type]  # converters take these
    assert lossreg.parts(settings).describe() == lossreg.parts(spec).describe()


@for_each(
    ("given", "wanted"),
    [
        ("dice", "neither a file nor a run directory; a text is written"),
        ({"optimiser": "sgd"}, "no key 'optimiser'"),
        (3, "not 3"),
    ],
)
def test_a_wrong_source_is_refused(given: object, wanted: str) -> None:
    """An error says what is written instead."""
    with pytest.raises(lossreg.ConfigError, match=wanted):
        lossreg.parts(given)  # type: ignore[arg-type]  # that is what is refused


def test_broken_toml_names_the_file(tmp_path: Path) -> None:
    """It is no traceback of the reader."""
    file = tmp_path / "run.toml"
    file.write_text("loss = ", encoding="utf-8")
    with pytest.raises(lossreg.ConfigError, match=r"run\.toml is not TOML"):
        lossreg.parts(file)


def test_the_parts_of_a_past_run_train_its_weights_again(tmp_path: Path) -> None:
    """A plain loop with the parts of a run has the bits of the run, with groups and a schedule that counts steps."""
    result = lossreg.run(
        loss="l1", optimizer="adamw(lr=0.01)", param_groups={"*.bias": "weight_decay=0"}, model="mlp",
        scheduler="warmup(cosine, length=3)", scheduler_interval="step", epochs=2, seed=3, limit_train=256,
        limit_test=64, device="cpu", precision="32", checkpoint_every="none", out=tmp_path / "run", quiet=True,
    )  # fmt: skip
    split = lossreg.datasets.build("digits").train
    assert isinstance(split, tuple)
    inputs, targets = (part[:256] for part in split)
    torch.manual_seed(3)
    model = lossreg.models.build("mlp", in_features=inputs[0].numel(), out_features=10)
    parts = lossreg.parts(tmp_path / "run", steps_per_epoch=4)
    optimizer = parts.optimizer(model, fused=True)
    scheduler = parts.scheduler(optimizer)
    assert scheduler is not None
    for epoch in range(2):
        order = torch.from_numpy(numpy.random.default_rng([3, epoch]).permutation(256))
        for chosen in order.split(64):
            optimizer.zero_grad()
            parts.loss(model(inputs[chosen]), targets[chosen]).backward()
            optimizer.step()
            scheduler.step()
    own = model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in result.model.state_dict().items())


def test_a_run_with_an_object_asks_for_it(tmp_path: Path) -> None:
    """An object has no text; an argument takes its place."""
    lossreg.run(
        loss=torch.nn.CrossEntropyLoss(),
        model="mlp",
        epochs=1,
        limit_train=64,
        limit_test=32,
        quiet=True,
        out=tmp_path / "run",
    )
    with pytest.raises(lossreg.ConfigError, match="the loss of the run was a Python object"):
        lossreg.parts(tmp_path / "run")
    assert lossreg.parts(tmp_path / "run", loss="dice").texts["loss"] == "builtin.dice"
