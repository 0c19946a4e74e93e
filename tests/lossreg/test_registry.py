"""Registries: lookup, building, registering, and independence."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
import torch

import lossreg
from lossreg import ComponentSpec
from lossreg.components import KINDS
from lossreg.registry.registries import default


@pytest.mark.parametrize("name", ["cross_entropy", "Cross-Entropy", "builtin.cross_entropy", "BUILTIN.CROSS-ENTROPY"])
def test_case_and_hyphens_do_not_matter(name: str) -> None:
    """A short name and a full id resolve in any case, with `-` for `_`."""
    assert lossreg.losses[name].id == "builtin.cross_entropy"
    assert name in lossreg.losses


@pytest.mark.parametrize("kind", KINDS)
def test_a_registry_is_a_mapping_of_full_ids(kind: str) -> None:
    """Iterating gives full ids, each of which resolves to its component."""
    registry = default.of(kind)
    assert [registry[full_id].id for full_id in registry] == sorted(registry)
    assert len(registry) == len(list(registry))


def test_an_unknown_name_is_a_key_error_with_a_suggestion() -> None:
    """An unknown name says what was meant, what there is and how to list it."""
    with pytest.raises(KeyError) as caught:
        lossreg.losses["dise"]
    assert isinstance(caught.value, lossreg.UnknownNameError)
    assert caught.value.suggestions == ("dice",)
    assert "no loss named 'dise'. Did you mean 'dice'?" in str(caught.value)
    assert "(lossreg list loss)" in str(caught.value)
    assert lossreg.losses.get("dise") is None


def test_a_name_of_another_kind_is_told_apart() -> None:
    """Asking the wrong registry says where the name is."""
    with pytest.raises(lossreg.UnknownNameError, match="optimizer 'sgd' exists; it is not a loss"):
        lossreg.losses["sgd"]


def test_build_takes_a_name_a_text_or_a_spec() -> None:
    """A name with arguments, a spec text and a spec build the same loss."""
    built = [
        lossreg.losses.build("cross_entropy", label_smoothing=0.1),
        lossreg.losses.build("cross_entropy(label_smoothing=0.1)"),
        lossreg.losses.build(ComponentSpec("cross_entropy", {"label_smoothing": 0.1})),
    ]
    assert [loss.label_smoothing for loss in built] == [0.1, 0.1, 0.1]
    assert {type(loss) for loss in built} == {torch.nn.CrossEntropyLoss}


def test_objects_are_parameters_from_python() -> None:
    """Python may give what no text can say: a function as a schedule."""
    optimizer = lossreg.optimizers.build("sgd", [torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = lossreg.schedulers.build("lambda_lr", optimizer, lr_lambda=lambda epoch: 0.5**epoch)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)


def test_a_list_becomes_the_tensor_that_a_parameter_wants() -> None:
    """Class weights may be written as a list."""
    loss = lossreg.losses.build("cross_entropy(weight=[1.0, 2.0])")
    assert isinstance(loss.weight, torch.Tensor)
    assert torch.equal(loss.weight, torch.tensor([1.0, 2.0]))


def test_a_parameter_given_twice_is_an_error() -> None:
    """The spec and the arguments may not both set a parameter."""
    with pytest.raises(lossreg.UnknownParameterError, match="given in the spec and as an argument"):
        lossreg.losses.build("dice(smooth=1.0)", smooth=2.0)


def test_a_factory_s_refusal_is_told_with_its_cause() -> None:
    """A value that the factory refuses is an error with the factory's own as its cause."""
    with pytest.raises(lossreg.BuildError, match="Invalid learning rate: -1") as caught:
        lossreg.optimizers.build("sgd", [torch.nn.Parameter(torch.zeros(1))], lr=-1)
    assert isinstance(caught.value.__cause__, ValueError)


def test_nested_specs_are_built_from_the_same_registry() -> None:
    """A parameter may be a component of the same kind."""
    registries = lossreg.load_registries()

    @registries.losses.register("halved", target="index")
    class Halved(torch.nn.Module):
        def __init__(self, loss: torch.nn.Module) -> None:
            super().__init__()
            self.loss = loss

        def forward(self, output: torch.Tensor, target: torch.Tensor) -> Any:
            return self.loss(output, target) / 2

    built = registries.losses.build("halved(loss=halved(loss=dice(smooth=2.0)))")
    logits, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    expected = registries.losses.build("dice", smooth=2.0)(logits, target) / 4
    torch.testing.assert_close(built(logits, target), expected)


def test_registering_the_same_name_again_replaces_it() -> None:
    """A notebook's cell that runs again leaves one component, the newer."""
    registries = lossreg.load_registries()
    for size in (1, 2):
        registries.models.register("tiny", summary=f"{size}")(torch.nn.Identity)
    assert registries.models["tiny"].component.summary == "2"
    assert registries.models["local.tiny"].id == "local.tiny"


def test_a_set_of_registries_is_independent() -> None:
    """What one set registers, the module-level registries and other sets do not see."""
    first, second = lossreg.load_registries(), lossreg.load_registries()
    first.losses.register("mine", target="dense")(torch.nn.L1Loss)
    assert "mine" in first.losses
    assert "mine" not in second.losses
    assert "mine" not in lossreg.losses


def test_registering_does_not_discover() -> None:
    """`register` on the module-level registry loads no plugin; the first lookup does."""
    code = """
import sys, lossreg
@lossreg.losses.register("mine", target="dense")
class Mine: pass
assert "lossreg_builtin.plugin" not in sys.modules
assert lossreg.losses["mine"].id == "local.mine"
assert "lossreg_builtin.plugin" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_look_up_and_build_at_once() -> None:
    """Many threads that start with a fresh set of registries all find and build their components."""
    registries = lossreg.Registries()
    built: list[Any] = []
    start = threading.Barrier(16)

    def work() -> None:
        start.wait()
        built.append(registries.losses.build("dice(smooth=1.0)"))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [loss.smooth for loss in built] == [1.0] * 16


@pytest.mark.parametrize("name", sorted(set(lossreg.__all__)))
def test_every_public_name_resolves(name: str) -> None:
    """Each name of `lossreg.__all__` is there."""
    assert getattr(lossreg, name) is not None
    assert name in dir(lossreg)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    """Asking lossreg for something else fails as for any module."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = lossreg.nonsense
