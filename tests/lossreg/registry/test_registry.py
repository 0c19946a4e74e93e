"""Registries: lookup, registering, independence."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
import torch

import lossreg
from lossreg.component import KINDS
from lossreg.plugins.provenance import Provenance
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.registries import default
from tests.table import for_each


@for_each("kind", KINDS)
def test_a_registry_is_a_mapping_of_full_ids(kind: str) -> None:
    """Iterating gives full ids, each of which resolves to its component."""
    registry = default.of(kind)
    assert [registry[full_id].id for full_id in registry] == sorted(registry)
    assert len(registry) == len(list(registry))


def test_registering_the_same_name_again_replaces_it() -> None:
    """A notebook's cell that runs again leaves one component, the newer."""
    registries = lossreg.load_registries()
    for size in (1, 2):
        registries.models.register("tiny", summary=f"{size}")(torch.nn.Identity)
    assert registries.models["tiny"].component.summary == "2"
    assert registries.models["local.tiny"].id == "local.tiny"


def test_a_row_may_have_what_an_older_torch_has_not() -> None:
    """A parameter of a built-in row that the class has not yet is left to it; of a plugin it is a mistake."""

    class Older(torch.optim.SGD):
        def __init__(self, params: Any, lr: float = 0.1) -> None:
            super().__init__(params, lr=lr)

    row = lossreg.Optimizer("older", Older, defaults={"lr": 0.5, "maximize": False})
    weights = [torch.nn.Parameter(torch.zeros(1))]
    built = RegistryEntry(row, Provenance("builtin"))
    assert built.construct(built.arguments({}, {}), weights).param_groups[0]["lr"] == 0.5
    with pytest.raises(lossreg.UnknownParameterError, match="maximize"):
        built.checked({"maximize": True})
    theirs = RegistryEntry(row, Provenance("theirs"))
    with pytest.raises(lossreg.BuildError, match="maximize"):
        theirs.construct(theirs.arguments({}, {}), weights)


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


def test_two_functions_under_one_name_are_an_error() -> None:
    """A second, different function under a registered name is refused; the same one again replaces it."""
    registries = lossreg.load_registries(allow=[])

    def make() -> None: ...

    def other() -> None: ...

    registries.models.register("thing")(make)
    registries.models.register("thing", summary="again")(make)
    assert registries.models["thing"].component.summary == "again"
    with pytest.raises(lossreg.ComponentError, match=r"local\.thing is registered already"):
        registries.models.register("thing")(other)


def test_an_alias_does_not_take_the_name_of_another_component() -> None:
    """Registering `b` with the alias `a` is refused where `a` is registered, and `a` stays what it was."""
    registries = lossreg.load_registries()
    registries.models.register("a", summary="the first")(torch.nn.Identity)
    with pytest.raises(lossreg.ComponentError, match=r"local\.a is registered already"):
        registries.models.register("b", aliases=["a"])(torch.nn.Flatten)
    assert registries.models["a"].component.summary == "the first"
    assert "b" not in registries.models


def test_a_name_does_not_take_the_alias_of_another_component() -> None:
    """Registering `a` is refused where `b` has that alias."""
    registries = lossreg.load_registries()
    registries.models.register("b", aliases=["a"])(torch.nn.Flatten)
    with pytest.raises(lossreg.ComponentError, match=r"local\.a is registered already"):
        registries.models.register("a")(torch.nn.Identity)
    assert registries.models["a"].name == "b"


def test_a_component_that_is_registered_again_loses_its_old_aliases() -> None:
    """The newer registration says all that leads to the component."""
    registries = lossreg.load_registries()
    registries.models.register("b", aliases=["old"])(torch.nn.Flatten)
    registries.models.register("b", aliases=["new"])(torch.nn.Flatten)
    assert "old" not in registries.models
    assert registries.models["new"].id == "local.b"


def test_a_table_that_is_read_changes_no_alias_of_a_built_in() -> None:
    """What a name means does not depend on what was looked up before."""
    own = lossreg.load_registries(allow=[], bridges=False)
    rows = {"constant": {"factory": "torch.optim.lr_scheduler:ExponentialLR", "summary": "Another"}}
    own.schedulers.add_table(lossreg.ComponentTable(lossreg.Scheduler, lambda _: rows), Provenance("other"))
    assert own.schedulers["constant"].id == "builtin.constant_lr"
    assert "other.constant" in list(own.schedulers)
    assert own.schedulers["constant"].id == "builtin.constant_lr"
    assert own.schedulers["other.constant"].name == "constant"
