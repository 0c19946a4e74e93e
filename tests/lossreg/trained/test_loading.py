"""Coming back to a run: its settings and metrics, and its model with the weights."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg.checkpoints.folder import CheckpointFolder
from tests.lossreg.trained.conftest import is_same, load_run
from tests.table import for_each

if TYPE_CHECKING:
    from tests.lossreg.trained.conftest import Edit, Run


@for_each(
    "settings",
    [
        {},
        {"model": "mnist_cnn", "limit_train": 32},
        {"data": "diabetes", "limit_train": None},
        {"weights": "ema(0.9)", "epochs": 2},
        {"patience": 3, "validate": 0.25, "epochs": 3, "optimizer": "sgd(lr=0.5)"},
        {"layout": "channels_last", "model": "mnist_cnn", "limit_train": 32},
    ],
    ids=["mlp", "cnn", "regression", "ema", "best", "layout"],
)
def test_the_model_is_that_of_the_run(run: Run, settings: dict[str, Any]) -> None:
    """It has the weights of the run, bit for bit, is in evaluation mode, and gives what the run's model gives."""
    result = run(**settings)
    loaded = load_run(result.directory, device="cpu")
    assert is_same(loaded.model, result.model)
    assert not any(module.training for module in loaded.model.modules())
    assert loaded.weights == result.final["weights"]
    assert (loaded.epoch, loaded.step) == (result.final["epoch"], result.final["step"])
    inputs = torch.randn(3, *loaded.data.in_shape)
    expected = result.model.eval()(inputs)
    torch.testing.assert_close(loaded.predict(inputs), expected, atol=1e-6, rtol=1e-5)


def test_what_is_known_of_the_run(run: Run) -> None:
    """Settings, rows and facts of the data set are those of the run."""
    result = run(loss="dice(smooth=1)", epochs=2)
    loaded = load_run(result.directory)
    assert loaded.spec == result.spec
    assert loaded.metrics == result.metrics
    assert loaded.summary.status == "finished"
    data = loaded.data
    assert (data.task, data.in_shape, data.outputs, data.in_dtype) == ("classification", (1, 28, 28), 10, "float32")
    assert (data.samples, data.input_scaling) == ({"train": 64, "test": 30}, lossreg.Scaling())
    assert loaded.directory == result.directory
    assert loaded.objects == {}
    assert repr(loaded.loss) == "DiceLoss(smooth=1, reduction='mean')"


def test_the_data_set_is_not_read(run: Run) -> None:
    """Sizes are known from run.json: a data set that is gone is no hindrance."""
    here = lossreg.load_registries(allow=[])
    here.datasets.register("mine", model="mlp")(lambda: lossreg.datasets.build("digits"))
    result = run(data="mine", registries=here)
    assert is_same(load_run(result.directory).model, result.model)


def test_a_loss_that_was_trained_comes_back(run: Run) -> None:
    """Its parameters are those of the run."""
    here = lossreg.load_registries(allow=[])
    here.losses.register("warm", input="logits", target="index", averages="element")(Warm)
    result = run(loss="warm", registries=here, optimizer="sgd(lr=0.5)")
    loss: Any = load_run(result.directory, registries=here).loss
    assert torch.equal(loss.temperature, result.loss.temperature)  # type: ignore[attr-defined]  # it is a Warm
    assert loss.temperature != 1


class Warm(nn.Module):
    """Cross-entropy with a temperature that is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return nn.functional.cross_entropy(output * self.temperature, target)


def test_lazy_modules_get_their_sizes(run: Run) -> None:
    """A model with lazy modules is built from the shape of an input."""
    here = lossreg.load_registries(allow=[])
    here.models.register("lazy")(lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(10)))
    result = run(model="lazy", registries=here)
    assert is_same(load_run(result.directory, registries=here).model, result.model)


def test_runtime_arguments_are_those_of_the_run(run: Run) -> None:
    """What the runner supplied is supplied again: the numbers of epochs, steps and samples, and the sizes."""
    seen: list[dict[str, int]] = []

    def build(**sizes: int) -> nn.Module:
        seen.append(sizes)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    names = ("epochs", "steps_per_epoch", "total_steps", "num_samples", "in_features", "in_channels", "out_features")
    here = lossreg.load_registries(allow=[])
    here.models.register("sized", runtime_args={name: name for name in names})(build)
    result = run(model="sized", registries=here, epochs=2, batch_size=20)
    load_run(result.directory, registries=here)
    assert seen[-1] == dict(zip(names, (2, 4, 8, 64, 784, 1, 10), strict=True))
    assert seen[-1] == seen[0]


def test_random_generators_stay_as_they_were(run: Run) -> None:
    """Coming back to a run draws no number of the caller's."""
    directory = run().directory
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]  # a tuple
    load_run(directory).evaluate()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[:2]  # type: ignore[index]  # a tuple
    assert torch.equal(torch.get_rng_state(), before[2])


def test_a_model_that_was_an_object_is_given_again(run: Run) -> None:
    """Without it the error says so; with one of the same shape, that one gets the weights."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    directory = run(model=model).directory
    with pytest.raises(lossreg.ConfigError) as caught:
        load_run(directory)
    assert caught.value.message == (
        f"{directory} cannot be rebuilt: its model was a Python object (torch.nn.modules.container.Sequential), which "
        "has no text; from Python, give it: lossreg.load_run(..., model=my_model)"
    )
    again = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    loaded = load_run(directory, model=again)
    assert loaded.model is again
    assert loaded.objects == {"model": "torch.nn.modules.container.Sequential"}
    assert is_same(again, model)


def test_a_loss_that_was_an_object_is_missed_when_it_is_asked_for(run: Run) -> None:
    """The model is there without it; with it, it can be evaluated, too."""
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    result = run(loss=criterion)
    loaded = load_run(result.directory)
    assert is_same(loaded.model, result.model)
    with pytest.raises(lossreg.ConfigError, match="its loss was a Python object"):
        _ = loaded.loss
    with pytest.raises(lossreg.ConfigError, match="its loss was a Python object"):
        loaded.evaluate()
    again = load_run(result.directory, loss=copy.deepcopy(criterion))
    assert again.evaluate().metrics["test_loss"] == result.final["test_loss"]


def test_a_model_that_is_not_installed(run: Run) -> None:
    """The error says where it came from."""
    here = lossreg.load_registries(allow=[])
    here.models.register("net")(lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
    directory = run(model="net", registries=here).directory
    with pytest.raises(
        lossreg.ConfigError, match=r"its model local\.net is missing here; it came from the file .*: add -p "
    ):
        load_run(directory)


def test_a_plugin_that_is_not_installed(run: Run, edit: Edit) -> None:
    """The error names the distribution and its version."""
    directory = run().directory

    def foreign(record: dict[str, Any]) -> None:
        record["spec"]["model"] = "acme.mlp"
        record["components"]["model"] |= {"id": "acme.mlp", "distribution": "acme-models", "version": "1.2"}

    edit(directory, foreign)
    with pytest.raises(
        lossreg.ConfigError, match=r"its model acme\.mlp is missing here; it came from acme-models 1\.2"
    ):
        load_run(directory)


def test_another_version_is_a_warning(run: Run, edit: Edit, caplog: pytest.LogCaptureFixture) -> None:
    """A component of another version is used, and named."""
    directory = run().directory
    edit(directory, lambda record: record["components"]["model"].update(version="0.0.9"))
    load_run(directory)
    assert f"the model of {directory} was made with lossreg 0.0.9, here it is {lossreg.__version__}" in caplog.text


def test_another_default_is_a_warning(run: Run, edit: Edit, caplog: pytest.LogCaptureFixture) -> None:
    """Where a parameter that was not set had another default, the model may be another: it is said."""
    directory = run(model="mnist_cnn", limit_train=16).directory
    edit(directory, lambda record: record["components"]["model"]["params"].update(activation=True))
    load_run(directory)
    assert "activation was True by default and is False now" in caplog.text


def test_weights_that_do_not_fit(run: Run, edit: Edit) -> None:
    """The first names that differ are listed, with both shapes."""
    directory = run().directory
    edit(directory, lambda record: record["spec"].update(model="builtin.mlp(hidden=[32, 64])"))
    with pytest.raises(lossreg.ConfigError) as caught:
        load_run(directory)
    assert caught.value.message == (
        f"the weights in {directory / 'model.safetensors'} do not fit the model: 1.weight is (64, 784) there and "
        "(32, 784) in the model, 1.bias is (64,) there and (32,) in the model, 3.weight is (64, 64) there and (64, 32) "
        "in the model; the model is mlp(hidden=[32, 64])"
    )
    edit(directory, lambda record: record["spec"].update(model="builtin.mlp(hidden=[64])"))
    with pytest.raises(lossreg.ConfigError, match=r"3\.weight is .*; the model does not have 5\.weight, 5\.bias; "):
        load_run(directory)
    edit(directory, lambda record: record["spec"].update(model="builtin.mlp(hidden=[64, 64, 10])"))
    with pytest.raises(lossreg.ConfigError, match=r"it lacks 7\.weight, 7\.bias; the model is"):
        load_run(directory)


@pytest.mark.parametrize("place", ["nothing", "file", "empty"])
def test_what_is_not_a_run_directory(tmp_path: Path, place: str) -> None:
    """It is said what there is instead."""
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(lossreg.ConfigError, match="run directory"):
        load_run(tmp_path / place)


@pytest.mark.parametrize(
    "table",
    [None, {}, {"task": "magic"}, {"in_shape": [0]}, {"in_shape": [2**40, 2]}, {"outputs": -1}, {"outputs": "9"}],
)
def test_a_record_that_lacks_the_sizes(run: Run, edit: Edit, table: dict[str, Any] | None) -> None:
    """A run.json in which `data` is damaged is one line, and no memory is taken for it."""
    directory = run().directory
    edit(directory, lambda record: record.update(data={**record["data"], **table} if table else table))
    with pytest.raises(lossreg.ConfigError, match="does not tell what the model was built for"):
        load_run(directory)


def test_a_run_of_before_without_the_new_facts(run: Run, edit: Edit) -> None:
    """A record without the type of inputs, their scaling, and the settings that came later is read."""
    result = run()

    def older(record: dict[str, Any]) -> None:
        for name in ("in_dtype", "input_scaling", "target_scaling"):
            del record["data"][name]
        for name in ("init_from", "init_partial"):
            del record["spec"][name]

    edit(result.directory, older)
    loaded = load_run(result.directory)
    assert is_same(loaded.model, result.model)
    assert (loaded.in_dtype, loaded.data.input_scaling) == (torch.float32, None)


def test_a_checkpoint_by_name(run: Run) -> None:
    """The model has the weights of the checkpoint that was asked for."""
    result = run()
    other = lossreg.models.build("mlp", in_features=784, out_features=10)
    facts = {"step": 1, "epoch": 0, "weights": "raw"}
    CheckpointFolder(result.directory / "checkpoints").write("first", facts, {"model": other.state_dict()}, {})
    loaded = load_run(result.directory, "first")
    assert is_same(loaded.model, other)
    assert (loaded.weights, loaded.epoch, loaded.step) == ("raw", 0, 1)
    assert is_same(load_run(result.directory).model, result.model)


@for_each(
    ("arguments", "said"),
    [
        ({"directory": 3}, "a run is named by its directory"),
        ({"checkpoint": 3}, "checkpoint is"),
        ({"model": nn.Linear}, "model is a torch.nn.Module"),
        ({"registries": 3}, "registries is what"),
        ({"device": "gpu"}, "device 'gpu' is not understood"),
    ],
)
def test_arguments_of_a_wrong_type(run: Run, arguments: dict[str, Any], said: str) -> None:
    """The error names the argument."""
    with pytest.raises(lossreg.LossregError, match=said):
        load_run(**{"directory": run().directory, **arguments})
