"""The trainers that train.py and overhead.py compare, each as a function that times one epoch of the same job.

A careful user's choices are made for every trainer: fused SGD, convolutions in channels_last, no logger, no
checkpoints, no progress bar, no clipping, data in memory and no worker processes. Every side ends the epoch with its
mean loss; where the trainer leaves that to its user, it is summed on the device and read once.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from job import BATCH, LR, Clock, Job, Side
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


def lightning_epoch(job: Job) -> float:
    """Lightning's Trainer, between the hooks of the epoch's start and end."""
    from lightning.pytorch import LightningModule, Trainer

    clock = Clock(job.device)

    class Module(LightningModule):  # type: ignore[misc, unused-ignore]  # untyped where it is not installed
        def __init__(self) -> None:
            super().__init__()
            self.model = job.model()
            self.total = torch.zeros((), device=job.device)

        def training_step(self, batch: Sequence[Tensor], _: int) -> Tensor:
            inputs, targets = batch
            loss = cross_entropy(self.model(inputs), targets)
            self.total.add_(loss.detach(), alpha=len(inputs))
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return job.optimizer(self.model.parameters())

        def on_train_epoch_start(self) -> None:
            clock.start()

        def on_train_epoch_end(self) -> None:
            self.total.item()
            clock.stop()

    Trainer(
        accelerator=job.device,
        devices=1,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Module(), job.loader())
    return clock.seconds


def ignite_epoch(job: Job) -> float:
    """Ignite's supervised trainer, between its events EPOCH_STARTED and EPOCH_COMPLETED."""
    from ignite.engine import Events, create_supervised_trainer

    model = job.model()
    total = torch.zeros((), device=job.device)

    def keep(inputs: Tensor, _targets: Tensor, _output: Tensor, loss: Tensor) -> None:
        total.add_(loss.detach(), alpha=len(inputs))

    trainer = create_supervised_trainer(
        model, job.optimizer(model.parameters()), cross_entropy, job.device, output_transform=keep
    )
    clock = Clock(job.device)
    trainer.add_event_handler(Events.EPOCH_STARTED, clock.start)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: clock.stop(total.item()))
    trainer.run(job.loader(), max_epochs=1)
    return clock.seconds


def skorch_epoch(job: Job) -> float:
    """The classifier of skorch, by its own timer of epochs; it always reads the loss of each batch."""
    from skorch import NeuralNetClassifier

    net = NeuralNetClassifier(
        job.model(),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=LR,
        optimizer__momentum=job.momentum,
        optimizer__fused=True,
        max_epochs=1,
        train_split=None,
        iterator_train=lambda *_, **__: job.loader(),
        verbose=0,
        device=job.device,
    )
    net.fit(job.dataset(), y=None)
    return float(net.history[-1, "dur"])


def _prepared_loop(
    job: Job,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loader: Iterable[Sequence[Tensor]],
    backward: Callable[[Tensor], object],
) -> float:
    total = torch.zeros((), device=job.device)
    clock = Clock(job.device)
    clock.start()
    for inputs, targets in loader:
        optimizer.zero_grad()
        loss = cross_entropy(model(inputs), targets)
        backward(loss)
        optimizer.step()
        total.add_(loss.detach(), alpha=len(inputs))
    total.item()
    clock.stop()
    return clock.seconds


def accelerate_epoch(job: Job) -> float:
    """A loop by hand over what Accelerate prepared."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=job.device == "cpu")
    model = job.model()
    model, optimizer, loader = accelerator.prepare(model, job.optimizer(model.parameters()), job.loader())
    return _prepared_loop(job, model, optimizer, loader, accelerator.backward)


def fabric_epoch(job: Job) -> float:
    """A loop by hand over what Lightning Fabric set up."""
    from lightning.fabric import Fabric

    fabric: Any = Fabric(accelerator=job.device, devices=1)
    model = job.model()
    model, optimizer = fabric.setup(model, job.optimizer(model.parameters()))
    return _prepared_loop(job, model, optimizer, fabric.setup_dataloaders(job.loader()), fabric.backward)


def hugging_face_epoch(job: Job) -> float:
    """The Trainer of Hugging Face, between its events on_epoch_begin and on_epoch_end."""
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    clock = Clock(job.device)

    class Timer(TrainerCallback):  # type: ignore[misc, unused-ignore]  # untyped where it is not installed
        def on_epoch_begin(self, *_: object, **__: object) -> None:
            clock.start()

        def on_epoch_end(self, *_: object, **__: object) -> None:
            clock.stop()

    class PairTrainer(Trainer):  # type: ignore[misc, unused-ignore]  # as above
        def compute_loss(self, model: nn.Module, inputs: Any, *_: object, **__: object) -> Tensor:
            return cross_entropy(model(inputs[0]), inputs[1])

    model = job.model()
    with tempfile.TemporaryDirectory() as out:
        settings = TrainingArguments(
            output_dir=out,
            num_train_epochs=1,
            per_device_train_batch_size=BATCH,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            logging_strategy="no",
            logging_nan_inf_filter=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=job.device != "cpu",
            use_cpu=job.device == "cpu",
            seed=job.seed,
        )
        trainer = PairTrainer(
            model,
            settings,
            data_collator=job.collate,
            train_dataset=job.dataset(),
            optimizers=(job.optimizer(model.parameters()), None),
            callbacks=[Timer()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return clock.seconds


#: Name on the command line -> its name, its function and the distribution that it comes from.
PEERS: Mapping[str, tuple[str, Side, str]] = {
    "lightning": ("Lightning Trainer", lightning_epoch, "lightning"),
    "fabric": ("Lightning Fabric", fabric_epoch, "lightning"),
    "ignite": ("Ignite", ignite_epoch, "pytorch-ignite"),
    "skorch": ("skorch", skorch_epoch, "skorch"),
    "accelerate": ("Accelerate", accelerate_epoch, "accelerate"),
    "trainer": ("Hugging Face Trainer", hugging_face_epoch, "transformers"),
}


def installed(names: Sequence[str]) -> dict[str, Side]:
    """The peers of these names that are installed, by their label with the version; says which are not."""
    found = {}
    for name in names:
        label, side, distribution = PEERS[name]
        try:
            found[f"{label} {importlib.metadata.version(distribution)}"] = side
        except importlib.metadata.PackageNotFoundError:
            print(f"left out: {label} (pip install {distribution})")
    return found
