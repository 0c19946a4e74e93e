"""What optimizers need beside gradients, with the Trainer of Hugging Face: modes are switched, the rest is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

import lossreg
from tests.lossreg.embedding.needing import Averaged, Curved, One
from tests.table import for_each

transformers: Any = pytest.importorskip(
    "transformers", reason="transformers is not installed (pip install 'lossreg[hosts]')"
)
pytest.importorskip("accelerate", reason="accelerate is not installed (pip install 'lossreg[hosts]')")

from safetensors.torch import load_file  # noqa: E402  # behind the check that transformers is there

from lossreg.adapters.transformers import PartsTrainer  # noqa: E402  # see above

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
]


class Model(One):
    """The model of one number, as those of transformers are called."""

    def forward(self, x: Tensor) -> Any:
        """Its output by name."""
        return {"logits": super().forward(x)}


class Samples(Dataset[dict[str, Tensor]]):
    """Four equal ones."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": torch.ones(1), "labels": torch.zeros(1)}


def trainer(folder: Path, optimizer: Any, **arguments: Any) -> PartsTrainer:
    """A trainer of two batches."""
    args = transformers.TrainingArguments(
        str(folder), use_cpu=True, report_to="none", disable_tqdm=True, per_device_train_batch_size=2,
        max_grad_norm=0.0, **{"num_train_epochs": 1, "save_strategy": "no", **arguments},
    )  # fmt: skip
    parts = lossreg.parts(loss="mse", task="regression", optimizer=optimizer)
    return PartsTrainer(Model(), args, parts=parts, train_dataset=Samples())


@for_each(
    ("optimizer", "wanted"),
    [
        ("lbfgs", r"lbfgs computes the loss again .* \(closure\), which the Trainer of Hugging Face does not do"),
        (Curved, r"Curved differentiates gradients \(create_graph\), which the Trainer of Hugging Face does not do"),
    ],
)
def test_what_the_trainer_does_not_do_is_refused(optimizer: Any, wanted: str, tmp_path: Path) -> None:
    """Where it is built."""
    with pytest.raises(lossreg.ConfigError, match=wanted):
        trainer(tmp_path, optimizer)


def test_the_weights_to_evaluate_are_saved_and_left(tmp_path: Path) -> None:
    """Each step halves w. Checkpoints, and the model after the training, have the mean of the steps so far."""
    made = trainer(tmp_path, Averaged, save_strategy="steps", save_steps=1)
    made.train()
    files = [tmp_path / f"checkpoint-{step}" / "model.safetensors" for step in (1, 2)]
    saved = [load_file(file)["w"].item() for file in files]
    assert saved == [0.5, 0.375]
    assert made.model.w.item() == 0.375


def test_the_state_of_another_optimizer_is_refused(tmp_path: Path) -> None:
    """A checkpoint of the Trainer says which optimizer has saved it."""
    trainer(tmp_path, "adam", save_strategy="epoch").train()
    with pytest.raises(lossreg.StateError, match=r"the optimizer builtin\.adam, and this one is builtin\.adamw"):
        trainer(tmp_path, "adamw", num_train_epochs=2).train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
