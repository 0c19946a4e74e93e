"""The models of torchvision by name: against torchvision's own, and fitted to the data."""

from __future__ import annotations

import inspect
import socket
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

import lossreg
from lossreg.data import Data
from lossreg_builtin.vision_models import MODELS, SEGMENTATION, vision_models
from tests.table import for_each

SMALL = "squeezenet1_1"  # 1.2 million parameters, and 17 pixels are enough


def built(name: str, *shape: int, classes: int = 3, **settings: Any) -> nn.Module:
    """A model for pictures of a shape."""
    model = lossreg.models.build(name, num_classes=classes, in_channels=shape[0], in_shape=shape, **settings)
    assert isinstance(model, nn.Module)
    return model


def pictures(task: str, channels: int, side: int) -> Data:
    """A few pictures with classes, or with a class for each pixel."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(4, channels, side, side, generator=generator)
    targets = (
        torch.arange(4) % 3 if task == "classification" else torch.randint(3, (4, side, side), generator=generator)
    )
    return Data((inputs, targets), (inputs, targets), task=task, in_shape=(channels, side, side), num_classes=3)  # type: ignore[arg-type]  # one of the tasks


def test_the_table_has_every_model_of_the_installed_torchvision() -> None:
    """All models for classification and segmentation that torchvision lists have a row, and no other."""
    ours = {model.name for model in vision_models()}
    assert ours - SEGMENTATION == set(models.list_models(module=models))
    assert ours & SEGMENTATION == set(models.list_models(module=models.segmentation))


def test_summaries_have_torchvision_s_numbers_of_parameters() -> None:
    """Each says how many parameters torchvision gives for the weights of that model."""
    for name, summary in MODELS.items():
        weights = next(iter(models.get_model_weights(name)))
        assert summary.endswith(f", {round(weights.meta['num_params'] / 1e6, 1)} million parameters")


def test_a_factory_tells_its_parameters_without_a_model() -> None:
    """A factory has the parameters of the record, and its own documentation."""
    entry = lossreg.models["resnet50"]
    assert list(entry.signature.parameters) == ["num_classes", "in_channels", "in_shape", "weights"]
    assert (inspect.getdoc(entry.factory) or "").startswith("ResNet (He and others 2015), 25.6 million parameters")


def test_a_name_that_the_table_does_not_have() -> None:
    """The module of the factories has no other attribute."""
    import lossreg_builtin.vision as module

    assert not hasattr(module, "resnet19")


def test_a_coloured_picture_gets_torchvision_s_own_model() -> None:
    """For three channels, weights and outputs are those of torchvision's builder with that seed."""
    torch.manual_seed(3)
    ours = built(SMALL, 3, 17, 17).eval()
    torch.manual_seed(3)
    peer = models.squeezenet1_1(num_classes=3).eval()
    inputs = torch.rand(2, 3, 17, 17)
    assert torch.equal(ours(inputs), peer(inputs))


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("name", ["mobilenet_v3_small", SMALL])
def test_the_first_convolution_is_made_for_the_channels(name: str, channels: int) -> None:
    """Its weights have torchvision's deviation: by the inputs for SqueezeNet, by the outputs for MobileNet."""
    torch.manual_seed(0)
    model = built(name, channels, 17, 17)
    first = next(part for part in model.modules() if isinstance(part, nn.Conv2d))
    fan = 9 * channels if name == SMALL else 9 * 16
    expected = (2 / fan) ** 0.5  # Kaiming's
    assert first.in_channels == channels
    assert first.weight.std().item() == pytest.approx(expected, rel=0.2)
    assert model.eval()(torch.rand(1, channels, 17, 17)).shape == (1, 3)


@pytest.mark.parametrize(
    ("name", "task", "channels", "side"),
    [
        (SMALL, "classification", 1, 17),
        ("mobilenet_v3_small", "classification", 3, 8),
        ("lraspp_mobilenet_v3_large", "segmentation", 1, 16),
    ],
)
def test_a_model_trains(name: str, task: str, channels: int, side: int, tmp_path: Path) -> None:
    """Channels and classes come from the data set; every pixel of a segmentation has its logits."""
    result = lossreg.run(
        data=pictures(task, channels, side), model=name, loss="cross_entropy", epochs=1, batch_size=4,
        out=tmp_path / "run", quiet=True,
    )  # fmt: skip
    outputs = result.model(torch.rand(2, channels, side, side))
    assert outputs.shape == ((2, 3, side, side) if task == "segmentation" else (2, 3))


def test_a_vision_transformer_takes_the_size_of_the_pictures() -> None:
    """Pictures of 64 pixels make 4 patches of 32; with the token of the class 5 positions are learnt."""
    with torch.device("meta"):
        model = built("vit_b_32", 3, 64, 64)
    assert model.get_parameter("encoder.pos_embedding").shape == (1, 5, 768)


@for_each("name", ["googlenet", "inception_v3"])
def test_no_auxiliary_outputs(name: str) -> None:
    """A model in training gives its logits alone: what torchvision has for training besides is left out."""
    with torch.device("meta"):
        model = models.get_model(name, aux_logits=False, init_weights=False)
        expected = {key: value.shape for key, value in model.state_dict().items()}
    with torch.device("meta"):
        ours = built(name, 3, 75, 75, classes=1000)
    assert {key: value.shape for key, value in ours.state_dict().items()} == expected


@for_each(
    ("name", "shape", "said"),
    [
        (
            "alexnet",
            (3, 32, 32),
            r"at least 63x63 pixels, not 32x32; size=63 .* \(--data\.size 63\) makes them so; a data set",
        ),
        ("inception_v3", (3, 32, 80), "at least 75x75 pixels, not 32x80"),
        ("vit_b_16", (3, 28, 28), r"multiples of 16, not 28x28; size=32 .* \(--data.size 32\) makes them so"),
        ("vit_b_16", (3, 32, 48), "square pictures, not 32x48.*--data.size 48"),
        ("maxvit_t", (3, 64, 64), "at least 224x224"),
        ("resnet18", (10,), r"pictures \(channels, height, width\), and an input has the shape \(10,\)"),
    ],
)
def test_pictures_that_do_not_fit(name: str, shape: tuple[int, ...], said: str) -> None:
    """It is an error of one line before anything is built, with a size that fits."""
    with pytest.raises(lossreg.BuildError, match=said):
        built(name, *shape)


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """A SqueezeNet whose weights lie where torchvision keeps what it has downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(1)
    model: nn.Module = models.squeezenet1_1()
    torch.save(model.state_dict(), folder / models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url.rpartition("/")[2])
    return model.eval()


@pytest.mark.parametrize("name", ["densenet121", "googlenet", "mnasnet0_5"])
def test_files_as_torchvision_s_are(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may have old names (DenseNet), parts for the training alone (GoogLeNet), or a version (MNASNet)."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    arguments = {"aux_logits": True, "init_weights": False, "transform_input": True} if name == "googlenet" else {}
    peer = models.get_model(name, weights=None, **arguments)
    state = peer.state_dict()
    if name == "densenet121":
        state = OrderedDict(  # as torch 0.3 wrote it
            (key.replace(".norm1.", ".norm.1."), value) for key, value in state.items() if "num_batches" not in key
        )
    url = next(iter(models.get_model_weights(name))).url
    torch.save(state, tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2])
    inputs = torch.rand(1, 3, 32, 32)
    assert torch.equal(built(name, 3, 32, 32, classes=1000, weights="DEFAULT").eval()(inputs), peer.eval()(inputs))


def test_weights_of_as_many_classes_are_taken_whole(trained: nn.Module) -> None:
    """With the classes of the weights, the model is that of torchvision."""
    inputs = torch.rand(2, 3, 32, 32)
    for weights in ("DEFAULT", "IMAGENET1K_V1", "SqueezeNet1_1_Weights.IMAGENET1K_V1"):
        assert torch.equal(built(SMALL, 3, 32, 32, classes=1000, weights=weights).eval()(inputs), trained(inputs))


def test_weights_of_other_classes_get_a_new_last_layer(trained: nn.Module) -> None:
    """All but the last layer is trained; that has the classes of the data."""
    model = built(SMALL, 3, 32, 32, classes=5, weights="DEFAULT")
    given = trained.state_dict()
    different = {key for key, value in model.state_dict().items() if not torch.equal(value, given[key])}
    assert different == {"classifier.1.weight", "classifier.1.bias"}
    assert model.eval()(torch.rand(2, 3, 32, 32)).shape == (2, 5)


def test_trained_weights_see_a_grey_picture_as_a_coloured_one(trained: nn.Module) -> None:
    """For one channel the outputs are those for three that are equal."""
    grey = torch.rand(2, 1, 32, 32)
    model = built(SMALL, 1, 32, 32, classes=1000, weights="DEFAULT").eval()
    torch.testing.assert_close(model(grey), trained(grey.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("weights", "channels", "said"),
    [
        ("IMAGENET1K_V2", 3, "no weights named 'IMAGENET1K_V2'. Did you mean .*There are: IMAGENET1K_V1, DEFAULT"),
        ("DEFAULT", 4, "are for pictures of 3 channels, or of 1; those of the data set have 4"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit(weights: str, channels: int, said: str, trained: nn.Module) -> None:
    """An unknown name is an error with those that there are; so are channels that no weights are for."""
    del trained
    with pytest.raises(lossreg.BuildError, match=said):
        built(SMALL, channels, 32, 32, weights=weights)


def test_weights_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they cannot be downloaded, an error of one line says where they belong, and from where they come."""

    def unreachable(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    with pytest.raises(lossreg.BuildError, match=r"cannot be downloaded from https://download\.pytorch\.org") as caught:
        built(SMALL, 3, 32, 32, weights="DEFAULT")
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_of_weights(trained: nn.Module, tmp_path: Path) -> None:
    """What is not a file of tensors is an error, and nothing in it is run."""
    del trained
    file = next((tmp_path / "hub" / "checkpoints").iterdir())
    torch.save({"state": Path("/")}, file)
    with pytest.raises(lossreg.BuildError, match="or the file is damaged"):
        built(SMALL, 3, 32, 32, weights="DEFAULT")
