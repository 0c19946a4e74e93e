"""What two processes train with other trainers: together.py FOLDER writes it, test_two_processes.py judges it."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.utils.data import DataLoader, Dataset, Sampler, TensorDataset

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))

import lossreg
from tests.two_processes import run_in_two

SEED, SAMPLES, BATCH, EPOCHS = 3, 128, 32, 2

#: Case -> what is named. Cross-entropy is the mean over labels, of which some are ignored in one case, and Dice the
#: mean over the processes; one case has several optimizers, for shards.
TEXTS: dict[str, dict[str, Any]] = {
    "cross_entropy": {
        "loss": "cross_entropy", "optimizer": "adamw(lr=0.01)", "param_groups": {"*.bias": "weight_decay=0"},
        "scheduler": "warmup(cosine, length=3)", "scheduler_interval": "step",
    },
    "dice": {"loss": "dice", "optimizer": "sgd(lr=0.1)", "scheduler": "cosine"},
    "sharded": {
        "loss": "cross_entropy", "optimizer": "sgd(lr=0.1, momentum=0.9)", "scheduler": "cosine",
        "param_groups": {"*.bias": "adamw(lr=0.01)"},
    },
    "ignored": {"loss": "cross_entropy", "optimizer": "sgd(lr=0.1)", "scheduler": "cosine"},
    "summed": {"loss": "cross_entropy(reduction='sum')", "optimizer": "sgd(lr=0.001)", "scheduler": "cosine"},
}  # fmt: skip


def samples(case: str) -> tuple[Tensor, Tensor]:
    """The first digits; where labels are ignored, most of the first process and few of the second in each batch."""
    split = lossreg.datasets.build("digits").train
    assert isinstance(split, tuple)
    inputs, targets = split[0][:SAMPLES], split[1][:SAMPLES].clone()
    if case == "ignored":
        for batch in order(0).split(BATCH):
            targets[batch[: BATCH // 2 - 3]] = -100
    return inputs, targets


def order(epoch: int) -> Tensor:
    """The order of the samples in an epoch of a run."""
    return torch.from_numpy(numpy.random.default_rng([SEED, epoch]).permutation(SAMPLES))


def model() -> nn.Module:
    """The model of the run."""
    torch.manual_seed(SEED)
    return lossreg.models.build("mlp", in_features=784, out_features=10)


def outcome(trained: nn.Module, rates: list[float], run: nn.Module) -> dict[str, Any]:
    """How far weights are from those of the run, what they are to the last bit, and the rate of each step."""
    own = {name: one.full_tensor() if isinstance(one, DTensor) else one for name, one in trained.state_dict().items()}
    expected = run.state_dict()
    assert own.keys() == expected.keys()
    content = b"".join(one.numpy().tobytes() for one in own.values())
    difference = max((own[name] - value).abs().max().item() for name, value in expected.items())
    return {"difference": difference, "digest": hashlib.sha256(content).hexdigest(), "rates": rates}


def in_a_run(case: str) -> nn.Module:
    """What a run of lossreg makes in two processes."""
    split = samples(case)
    result = lossreg.run(
        data=lossreg.Data(split, split, "classification", (1, 28, 28), num_classes=10), model="mlp", epochs=EPOCHS,
        seed=SEED, limit_test=16, batch_size=BATCH, device="cpu", precision="32", checkpoint_every="none", quiet=True,
        out=Path(sys.argv[1], f"run-{case}"), **TEXTS[case],
    )  # fmt: skip
    return result.model


class Shares(Sampler[int]):
    """This process's half of each batch of a run."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        half = BATCH // 2
        batches = order(self.epoch).split(BATCH)
        return iter(torch.cat([batch.split(half)[dist.get_rank()] for batch in batches]).tolist())

    def __len__(self) -> int:
        return SAMPLES // 2


def with_lightning(case: str, run: nn.Module) -> dict[str, Any]:
    """A LightningModule under DistributedDataParallel, or sharded by `fully_shard`."""
    import lightning
    from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

    from lossreg.adapters.lightning import configure_optimizers

    class Module(lightning.LightningModule):  # type: ignore[misc]  # Lightning may be missing where types are checked
        def __init__(self) -> None:
            super().__init__()
            self.parts, self.model = lossreg.parts(**TEXTS[case]), model()
            self.loss, self.rates = self.parts.loss, list[float]()

        def configure_model(self) -> None:
            if case == "sharded":
                fully_shard(self.model, mesh=self.device_mesh["data_parallel"])

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            self.rates.append(self.optimizers().param_groups[0]["lr"])
            value: Tensor = self.loss(self.model(batch[0]), batch[1])
            return value

        def configure_optimizers(self) -> Any:
            return configure_optimizers(self.parts, self, fused=True)

    module = Module()
    strategy: Any = DDPStrategy(process_group_backend="gloo")
    if case == "sharded":
        strategy = ModelParallelStrategy(2, 1, process_group_backend="gloo")
    trainer = lightning.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", devices=2, strategy=strategy,
        use_distributed_sampler=False, logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(TensorDataset(*samples(case)), BATCH // 2, sampler=Shares()))
    assert trainer.world_size == 2
    return outcome(module.model, module.rates, run)


class Wrapped(nn.Module):
    """A model with inputs and outputs as those of transformers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = model()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """The logits."""
        return {"logits": self.inner(x)}


class Rows(Dataset[dict[str, Tensor]]):
    """Samples, as the Trainer takes them."""

    def __init__(self, case: str) -> None:
        self.inputs, self.targets = samples(case)

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": self.inputs[index], "labels": self.targets[index]}


class Order(Sampler[int]):
    """The samples of each epoch in the order of a run; the Trainer cuts batches for the processes itself."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(order(self.epoch).tolist())

    def __len__(self) -> int:
        return SAMPLES


def with_transformers(case: str, run: nn.Module) -> dict[str, Any]:
    """A Trainer of Hugging Face under DistributedDataParallel."""
    from transformers import TrainingArguments

    from lossreg.adapters.transformers import PartsTrainer

    class Noting(PartsTrainer):
        def _get_train_sampler(self, *arguments: Any) -> Any:
            return Order()

        def create_optimizer(self, *arguments: Any) -> Any:
            optimizer = super().create_optimizer(*arguments)
            optimizer.register_step_pre_hook(lambda own, *_: rates.append(own.param_groups[0]["lr"]))
            return optimizer

    rates: list[float] = []
    arguments = TrainingArguments(
        str(Path(sys.argv[1], f"trainer-{case}")), num_train_epochs=EPOCHS, per_device_train_batch_size=BATCH // 2,
        max_grad_norm=0.0, use_cpu=True, ddp_backend="gloo", report_to="none", save_strategy="no", disable_tqdm=True,
        logging_strategy="no",
    )  # fmt: skip
    wrapped = Wrapped()
    trainer = Noting(
        parts=lossreg.parts(**TEXTS[case]), fused=True, model=wrapped, args=arguments, train_dataset=Rows(case)
    )
    assert arguments.world_size == 2
    trainer.train()
    return outcome(wrapped.inner, rates, run)


#: Lightning takes the mean of the processes, whatever their labels.
HOSTS: dict[str, tuple[Callable[[str, nn.Module], dict[str, Any]], tuple[str, ...]]] = {
    "lightning": (with_lightning, ("cross_entropy", "dice", "sharded")),
    "transformers": (with_transformers, ("cross_entropy", "dice", "ignored", "summed")),
}


def main() -> None:
    """Writes what each host that is installed has made."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    hosts = {name: host for name, host in HOSTS.items() if importlib.util.find_spec(name) is not None}
    for name in ("training.api", *(f"adapters.{name}" for name in hosts)):  # before there are two processes
        importlib.import_module(f"lossreg.{name}")
    runs: dict[str, nn.Module] = {}

    def train(host: Callable[[str, nn.Module], dict[str, Any]], case: str) -> dict[str, Any]:
        if case not in runs:
            runs[case] = in_a_run(case)
        return host(case, runs[case])

    run_in_two(
        {
            f"{name} {case}": functools.partial(train, host, case)
            for name, (host, cases) in hosts.items()
            for case in cases
        }
    )


if __name__ == "__main__":
    main()
