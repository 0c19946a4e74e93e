"""The Trainer of Hugging Face that sees several devices in one process: it puts DataParallel around the model.

On the CPU, DataParallel hands a batch on as a whole; what the Trainer makes of the number of devices is the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import lossreg
from tests.table import for_each

transformers: Any = pytest.importorskip("transformers", reason="not installed (pip install 'lossreg[hosts]')")

from lossreg.adapters.transformers import PartsTrainer  # noqa: E402  # behind the check that transformers is there

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="DataParallel would cut the batch for the GPUs")


class Model(torch.nn.Module):
    """A linear model with outputs as those of transformers have them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = torch.nn.Linear(2, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Its logits."""
        return {"logits": self.inner(x)}


def trained(folder: Path, devices: int, loss: str, *, all_count: bool, **arguments: Any) -> Any:
    """A trainer after 2 epochs with 8 samples a batch; some have no label that counts, unless all have."""
    args = transformers.TrainingArguments(
        str(folder), use_cpu=True, report_to="none", disable_tqdm=True, save_strategy="no", num_train_epochs=2,
        per_device_train_batch_size=8 // devices, max_grad_norm=0.0, **arguments,
    )  # fmt: skip
    args._n_gpu = devices
    parts = lossreg.parts(
        loss=loss, optimizer="sgd(lr=0.125)", param_groups={"inner.bias": "lr=0.25"}, scheduler="cosine"
    )
    labels = [one % 3 if all_count or one % 4 else -100 for one in range(32)]
    data = [{"x": torch.tensor([one / 32, 1.0]), "labels": torch.tensor(label)} for one, label in enumerate(labels)]
    trainer = PartsTrainer(parts=parts, model=Model(), args=args, train_dataset=data)
    trainer.train()
    return trainer


@for_each("loss", ["cross_entropy", "cross_entropy(weight=[1.0, 2.0, 4.0])", "cross_entropy(reduction='sum')"])
@pytest.mark.parametrize("averages", [True, False])
def test_several_devices_train_as_one_does(loss: str, averages: bool, tmp_path: Path) -> None:
    """The same batches lead to the same weights, with patterns of the model's own names, and with a schedule.

    Where the Trainer does not average, it divides the labels by the devices and leaves the rest out.
    """
    given: dict[str, Any] = {"average_tokens_across_devices": averages, "gradient_accumulation_steps": 2}
    one, two = (trained(tmp_path, devices, loss, all_count=not averages, **given) for devices in (1, 2))
    assert isinstance(two.model_wrapped, torch.nn.DataParallel)
    groups, other_groups = (made.optimizer.param_groups for made in (one, two))
    assert [group["lr"] for group in groups] == [group["lr"] for group in other_groups]
    assert one.state.global_step == two.state.global_step == 4
    for own, other in zip(one.model.parameters(), two.model.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-6, atol=1e-7)
