"""Numbers in quotation marks: they are read as numbers, or named, in each format."""

from __future__ import annotations

from typing import Any

import pytest

import lossreg
from lossreg.conversion.formats import read_settings
from lossreg.conversion.quoted import unquoted
from tests.table import for_each


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """The built-in components alone."""
    return lossreg.load_registries(allow=[], bridges=False)


@for_each(("written", "number"), [
    ("0.1", 0.1), (" 1e-3 ", 1e-3), ("-2", -2), (".5", 0.5), ("7", 7), (["0.9", 0.99], [0.9, 0.99]),
    ("auto", None), ("", None), ("1_000", None), ("nan", None), ("1e999", None), ("9" * 5000, None), ("٣", None),
    (3, None), ([1, 2], None), (["1", "x"], None), ([], None),
])  # fmt: skip
def test_a_text_that_is_a_number(written: Any, number: Any) -> None:
    """Signs, points and exponents of ASCII digits; whole numbers stay whole."""
    assert unquoted(written) == number
    assert type(unquoted(written)) is type(number)


@for_each(("form", "text", "setting", "value", "noted"), [
    ("hydra", "optimizer: {_target_: torch.optim.SGD, lr: '0.1'}", "optimizer", "sgd(lr=0.1, momentum=0)", "lr='0.1'"),
    ("hydra", "optimizer: {_target_: torch.optim.Adam, betas: ['0.8', 0.9]}", "optimizer", "adam(betas=[0.8, 0.9])",
     "betas="),
    ("hydra", "lr: '1e-3'\noptimizer: {_target_: torch.optim.Adam, lr: '${lr}'}", "optimizer", "adam(lr=0.001)",
     "lr='1e-3'"),
    ("hydra", "optimizer: {_target_: torch.optim.Adam}\ntrainer: {max_epochs: '30'}", "epochs", 30,
     "trainer.max_epochs: '30'"),
    ("hydra", "loss: {_target_: torch.nn.CrossEntropyLoss, reduction: mean}", "loss", "cross_entropy(reduction='mean')",
     None),
    ("lightning", "trainer: {max_epochs: '3'}", "epochs", 3, "trainer.max_epochs: '3'"),
    ("lightning", "trainer: {max_epochs: 3, precision: '16'}", "precision", "16", None),  # a word in Lightning
    ("lightning", "optimizer: {class_path: Adam, init_args: {lr: '0.1'}}", "optimizer", "adam(lr=0.1)", "lr='0.1'"),
    ("mmengine", "train_cfg = dict(max_epochs='12')", "epochs", 12, "train_cfg.max_epochs: '12'"),
    ("timm", "opt: adamw\nlr: '0.5'\nweight_decay: 0", "optimizer", "adamw(lr=0.5, weight_decay=0)", None),
])  # fmt: skip
def test_it_is_read_as_the_number(
    form: str, text: str, setting: str, value: Any, noted: str | None, registries: lossreg.Registries
) -> None:
    """With a note where the other program has a text there; what is a text stays one."""
    found = read_settings(text, "file", form, registries)
    assert found.settings[setting] == value
    said = [one for one in found.notes if one.endswith("is a text in the file, and is read as the number that it is")]
    assert len(said) == (noted is not None), found.notes
    assert all(str(noted) in one for one in said)


@for_each(("form", "text", "said"), [
    ("hydra", "optimizer: {_target_: torch.optim.Adam}\nbatch_size: auto", "batch_size: 'auto' is not a number"),
    ("hydra", "optimizer: {_target_: torch.optim.Adam}\nx: {epochs: true}", "x.epochs: True is not a number"),
    ("hydra", "optimizer: {_target_: torch.optim.SGD, lr: fast}",
     "optimizer: sgd: lr='fast' does not fit lr: float | Tensor; it has the default of the class, 0.001"),
    ("lightning", "trainer: {max_epochs: 3, accumulate_grad_batches: x}", "trainer.accumulate_grad_batches: 'x' is"),
])  # fmt: skip
def test_what_is_no_number_is_named(form: str, text: str, said: str, registries: lossreg.Registries) -> None:
    """With the value that stands in its place, where the class has one."""
    found = read_settings(text, "file", form, registries)
    assert any(one.startswith(said) for one in found.left_out), found.left_out
