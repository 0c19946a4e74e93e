"""Statistics of batch normalisation for weights that are not those of training: made anew from the training split."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lossreg.training.data.batch_plan import BatchPlan
from lossreg.training.data.splits import Split
from lossreg.training.hardware.distributed import Processes
from lossreg.training.loss.objective import Objective
from lossreg.training.seeds import seeded_statistics

State = dict[str, dict[str, Tensor]]  # name of a layer -> copies of its buffers
Layers = Mapping[str, _BatchNorm]


class BatchStatistics:
    """The running statistics of a model's batch normalisation.

    Those of training belong to the weights of training. Weights that come of averaging get their own, by the rule of
    `torch.optim.swa_utils.update_bn`: the mean over all batches of the training split, each with the same weight, seen
    in training mode. Layers that the run keeps in evaluation mode keep what they have.

    Args:
        objective: Holds the model.
        split: The training split.
        batch_size: Samples of a batch.
        processes: Those that train together; each takes whole batches in turn.
        seed: Of the run.
        device: Where it all is.
    """

    def __init__(
        self,
        objective: Objective,
        split: Split,
        batch_size: int,
        processes: Processes,
        seed: int,
        device: torch.device,
    ) -> None:
        self._objective = objective
        self._split = split
        self._batch_size = batch_size
        self._processes = processes
        self._seed = seed
        self._device = device
        self._of_training: State | None = None  # there are some while the model holds others
        self._made: State | None = None

    @property
    def needed(self) -> bool:
        """Whether the model has such layers."""
        return bool(self._layers())

    @property
    def made(self) -> bool:
        """Whether there are any beside those of training, or none are needed."""
        return self._made is not None or not self.needed

    def _layers(self) -> dict[str, _BatchNorm]:
        frozen = {id(module) for module in self._objective.frozen}
        return {
            name: module
            for name, module in self._objective.model.named_modules()
            if isinstance(module, _BatchNorm) and module.running_mean is not None and id(module) not in frozen
        }

    def make(self) -> None:
        """Makes statistics for the weights that the model holds; all processes call it, and get the same."""
        layers = self._layers()
        if not layers:
            return
        self._of_training = self._of_training or _copied(layers)
        momenta = {name: layer.momentum for name, layer in layers.items()}
        others = {name: buffer.clone() for name, buffer in self._objective.named_buffers()}
        for layer in layers.values():
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches
        try:
            with seeded_statistics(self._seed, self._processes.rank, self._device), torch.no_grad():
                self._objective.train()
                for inputs, _ in self._split.in_order(self._batches(layers), self._seed):
                    self._objective.predict(inputs)
        finally:
            for name, layer in layers.items():
                layer.momentum = momenta[name]
        self._combine(layers)
        made = _copied(layers)
        for name, buffer in self._objective.named_buffers():
            buffer.copy_(others[name])  # a pass in training mode may move more than these statistics
        self._put(made)
        self._made = made

    def _batches(self, layers: Layers) -> Iterator[tuple[int, int]]:
        batches = BatchPlan(len(self._split), self._batch_size).ranges()
        if any(isinstance(layer, nn.SyncBatchNorm) for layer in layers.values()):
            return iter(batches)  # they exchange in each batch, so that all processes need the same number of them
        return itertools.islice(batches, self._processes.rank, None, self._processes.world_size)

    def _combine(self, layers: Layers) -> None:
        """The mean over the batches of all processes."""
        if self._processes.world_size == 1:
            return
        for layer in layers.values():
            assert layer.num_batches_tracked is not None  # noqa: S101  # of a layer with statistics
            own = layer.num_batches_tracked.clone()
            total = self._processes.all_reduce(layer.num_batches_tracked)
            for buffer in (layer.running_mean, layer.running_var):
                assert buffer is not None  # noqa: S101  # see above
                self._processes.all_reduce(buffer.mul_(own / total))

    def put_made(self) -> None:
        """Gives the model the statistics that were made last, without a pass over the samples."""
        if self._made is not None:
            self._of_training = self._of_training or _copied(self._layers())
            self._put(self._made)

    def put_back(self) -> None:
        """Gives the model the statistics of training; may be interrupted, and called again."""
        if self._of_training is not None:
            self._put(self._of_training)
            self._of_training = None

    @torch.no_grad()
    def _put(self, state: State) -> None:
        """Copies into the layers that have a state; which layers are trained may change in a run."""
        for name, values in state.items():
            for key, buffer in self._objective.model.get_submodule(name).named_buffers():
                buffer.copy_(values[key])

    def state_dict(self) -> dict[str, State | None]:
        """What a run goes on with."""
        return {"of_training": self._of_training, "made": self._made}

    def load_state_dict(self, state: Mapping[str, State | None]) -> None:
        """Takes what `state_dict` gave."""
        self._of_training, self._made = state["of_training"], state["made"]


def _copied(layers: Layers) -> State:
    return {name: {key: buffer.clone() for key, buffer in layer.named_buffers()} for name, layer in layers.items()}
