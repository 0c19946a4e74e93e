"""A plain loop over a model that is sharded over processes (FSDP2), with parts that are texts.

torchrun --standalone --nproc-per-node 2 fsdp_digits.py FOLDER
"""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import get_state_dict
from torch.distributed.fsdp import fully_shard

import lossreg


def main(folder: str, epochs: int = 2, samples: int = 128, batch_size: int = 32) -> None:
    """Trains in each of the processes, which write a checkpoint together."""
    rank, processes = dist.get_rank(), dist.get_world_size()
    inputs, targets = lossreg.datasets.build("digits").train
    inputs, targets = inputs[:samples], targets[:samples]

    torch.manual_seed(0)  # the same weights in each process
    model_parts = [
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 32), torch.nn.ReLU()),
        torch.nn.Linear(32, 10),
    ]
    model = torch.nn.Sequential(*model_parts)  # or a ModuleList: names begin with the number of the part

    parts = lossreg.parts(
        loss="cross_entropy",
        optimizer="adamw(lr=0.01)",
        param_groups={"*.bias": "weight_decay=0", "1.weight": "lr=x2"},
        scheduler="cosine",
        epochs=epochs,
    )
    parts.check(model, (inputs[:batch_size], targets[:batch_size]))  # before fully_shard, which forbids copies
    for part in model_parts:
        fully_shard(part)
    optimizer = parts.optimizer(model)  # after it: the optimizer has the shards
    scheduler = parts.scheduler(optimizer)

    for epoch in range(epochs):
        order = torch.randperm(samples, generator=torch.Generator().manual_seed(epoch))
        for batch in order.split(batch_size):
            own = batch.chunk(processes)[rank]  # fully_shard takes the mean of the gradients of all processes
            optimizer.zero_grad()
            parts.loss(model(inputs[own]), targets[own]).backward()
            optimizer.step()
        scheduler.step()

    weights, states = get_state_dict(model, optimizer)  # by the names of the model
    checkpoint.save({"model": weights, "optimizer": states, "scheduler": scheduler.state_dict()}, checkpoint_id=folder)


if __name__ == "__main__":
    dist.init_process_group("gloo")
    main(sys.argv[1])
    dist.destroy_process_group()
