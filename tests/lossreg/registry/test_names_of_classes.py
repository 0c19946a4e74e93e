"""The name of a class where that of a component belongs: which component it is."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

import lossreg
from lossreg.conversion.class_names import naming_classes
from lossreg.errors import SpecError, UnknownNameError
from lossreg.registry.registries import default
from lossreg.spec import ComponentSpec
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command

MODULES = {"optimizer": torch.optim, "scheduler": torch.optim.lr_scheduler, "loss": torch.nn}
NO_COMPONENTS = {"Optimizer", "LRScheduler", "AdaptiveLogSoftmaxWithLoss"}
CLASSES = [
    (kind, name)
    for kind, module in MODULES.items()
    for name, one in vars(module).items()
    if inspect.isclass(one)
    and name not in NO_COMPONENTS
    and one.__module__.startswith(module.__name__)
    and not name.startswith("_")
    and (kind != "loss" or name.endswith("Loss"))
]


@for_each(("kind", "name"), CLASSES)
def test_a_class_of_torch_by_its_path(kind: str, name: str) -> None:
    """The message has the name of the component, which there is; without registries, that there is one."""
    written = f"{MODULES[kind].__name__}.{name}"
    with pytest.raises(SpecError, match="A class of torch is a component with a name of its own"):
        ComponentSpec.parse(written)
    with pytest.raises(SpecError) as caught, naming_classes(default):
        ComponentSpec.parse(f"{written}(lr=0.1)")
    assert str(caught.value).rpartition(f". The {kind} {written} is written ")[2] in default.of(kind)


@for_each(
    ("settings", "said"),
    [
        (
            {"optimizer": "torch.optim.AdamX"},
            "No component is of the class torch.optim.AdamX. Did you mean torch.optim.Adam, which is written adam?",
        ),
        (
            {"optimizer": "torch.optim:Adm(lr=0.1)"},
            "No component is of the class torch.optim.Adm. Did you mean torch.optim.Adam, which is written adam?",
        ),
        (
            {"loss": "torch.nn.CrosEntropyLoss"},
            "class torch.nn.CrosEntropyLoss. Did you mean torch.nn.CrossEntropyLoss, which is written cross_entropy?",
        ),
        (
            {"scheduler": "torch.optim.lr_scheduler.StepL(step_size=1)"},
            "lr_scheduler.StepL. Did you mean torch.optim.lr_scheduler.StepLR, which is written step_lr?",
        ),
        (
            {"loss": "dice + torch.nn.CrosEntropyLoss()"},
            "class torch.nn.CrosEntropyLoss. Did you mean torch.nn.CrossEntropyLoss, which is written cross_entropy?",
        ),
        (
            {"param_groups": {"*.bias": "torch.optim.AdamX(lr=1)"}},
            "Did you mean torch.optim.Adam, which is written adam?",
        ),
        ({"loss": "torch.nn.functional.mse_loss"}, "The loss torch.nn.functional.mse_loss is written mse"),
        ({"optimizer": "lookahead(torch.optim:AdamX, k=3)"}, "torch.optim.Adam, which is written adam?"),
        ({"param_groups": {"*.bias": "torch.optim:AdamX"}}, "torch.optim.Adam, which is written adam?"),
        ({"optimizer": "torch.optm.Adam"}, "The optimizer torch.optim.Adam is written adam"),
    ],
)
def test_a_class_that_is_no_component(settings: dict[str, Any], said: str) -> None:
    """The message says so, with the nearest one that is, from arguments and from a mapping."""
    for given in ((settings,), ()):
        with pytest.raises(lossreg.LossregError) as caught:
            lossreg.parts(*given, **({} if given else settings))
        assert str(caught.value).endswith(f"{said}")
        assert "A class of torch" not in str(caught.value)


def test_a_class_that_is_no_component_elsewhere(lossreg_command: Command) -> None:
    """Nor does the command line, a comparison, a plan or a run leave it out."""
    said = "No component is of the class torch.optim.AdamX. Did you mean torch.optim.Adam, which is written adam?"
    for call in (lossreg.plan, lossreg.run, functools.partial(lossreg.compare, seeds=1)):
        with pytest.raises(lossreg.LossregError) as caught:
            call(optimizer="torch.optim.AdamX")
        assert str(caught.value).endswith(said)
    refused = lossreg_command("run", "--opt", "torch.optim.AdamX")
    assert (refused.code, refused.err.rstrip()[-len(said) :]) == (2, said)


def test_the_class_of_a_plugin_by_its_path(tmp_path: Path) -> None:
    """What a plugin declares says its name; its module is not imported."""
    (tmp_path / "own_plugin.py").write_text(
        'import lossreg\nlossreg.optimizers.register("slow", factory="no_such_package.optim:Slow", summary="Slow")\n'
    )
    registries = lossreg.load_registries(allow=[], local=[str(tmp_path / "own_plugin.py")])
    for written in ("no_such_package.optim.Slow", "no_such_package.optim:Slow", "no_such_package.optim:Slow(lr=1)"):
        with pytest.raises(SpecError) as caught:
            lossreg.parts(optimizer=written, registries=registries)
        assert str(caught.value).endswith(". The optimizer no_such_package.optim.Slow is written slow")
    with pytest.raises(SpecError, match="The path of a class is no name"):
        lossreg.parts(optimizer="no_such_package.optim.Fast", registries=registries)


@for_each(
    ("written", "kind", "name"),
    [
        ("timm.optim.Lion", "optimizers", "lion"),
        ("timm.optim.Lion(lr=0.1)", "optimizers", "lion"),
        ("lookahead(optimizer=timm.optim.Lion)", "optimizers", "lion"),
        ("monai.losses.FocalLoss(gamma=2)", "losses", "focal"),
        ("timm.scheduler.PolyLRScheduler", "schedulers", "poly_lr"),
        ("lossreg_own.steps.Pace", "optimizers", "pace"),
        ("timm.optim:Lion", "optimizers", "lion"),
        ("lookahead(timm.optim:Lion, k=3)", "optimizers", "lion"),
        ("timm.optim:Lion(lr=0.1)", "optimizers", "lion"),
        ("monai.losses:FocalLoss", "losses", "focal"),
        ("torch.nn.functional.mse_loss", "losses", "mse"),
    ],
)
def test_a_class_of_another_package_by_its_path(written: str, kind: str, name: str) -> None:
    """Names come from plugins; the class itself can be given, or a file registers it."""
    with pytest.raises(SpecError, match="The path of a class is no name; names come from plugins") as caught:
        ComponentSpec.parse(written)
    assert f'lossreg.{kind}.register("{name}")(' in str(caught.value)


def test_what_the_message_says_of_a_class_holds(tmp_path: Path) -> None:
    """The class itself is an optimizer, and a file that registers it names it."""
    built = lossreg.parts(optimizer=torch.optim.Adagrad).optimizer(torch.nn.Linear(1, 1))
    assert isinstance(built, torch.optim.Adagrad)
    file = tmp_path / "own_classes.py"
    file.write_text('import lossreg, torch\nlossreg.optimizers.register("mine")(torch.optim.Adagrad)\n')
    registries = lossreg.load_registries(allow=[], local=[str(file)])
    assert registries.optimizers["local.mine"].factory is torch.optim.Adagrad


def test_there_are_such_classes() -> None:
    """The table above has what it is for."""
    assert {kind for kind, _ in CLASSES} == {"optimizer", "scheduler", "loss"}
    assert len(CLASSES) > 40


@for_each(
    ("field", "written", "meant"),
    [
        ("scheduler", "CosineAnnealingLR", ("cosine_annealing_lr",)),
        ("scheduler", "StepLR(step_size=3)", ("step_lr",)),
        ("optimizer", "optim.SGD", ("sgd",)),
        ("loss", "nn.CrossEntropyLoss", ("cross_entropy",)),
    ],
)
def test_a_class_alone(field: str, written: str, meant: tuple[str, ...]) -> None:
    """It is shown as it was written, and one component is meant."""
    settings: dict[str, Any] = {"loss": "mse", "task": "regression", "optimizer": "sgd", field: written}
    with pytest.raises(UnknownNameError) as caught:
        lossreg.parts(**settings)
    assert f"no {field} named {written.partition('(')[0]!r}" in str(caught.value)
    assert caught.value.suggestions == meant


@for_each(("kind", "name"), [("scheduler", "cosine_anealing"), ("loss", "cross_entrpy"), ("optimizer", "adamww")])
def test_each_component_is_suggested_once(kind: str, name: str) -> None:
    """A name, an alias and a full id of one component are one suggestion."""
    registry = default.of(kind)
    with pytest.raises(UnknownNameError) as caught:
        registry[name]
    ids = [registry[one].id for one in caught.value.suggestions]
    assert ids
    assert len(set(ids)) == len(ids)


def test_a_spec_is_what_its_text_is() -> None:
    """How a name was written changes neither equality nor the text."""
    spec = ComponentSpec.parse("Cross-Entropy")
    assert (spec, spec.text, spec.written) == (ComponentSpec("cross_entropy"), "cross_entropy", "Cross-Entropy")
