"""What `plan` and `show` print of a component is what was meant, and can be written again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import lossreg
from lossreg import ComponentSpec
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command

WEIGHT = "[1, 1, 1, 1, 1, 1, 1, 1, 1, 0.1]"


def lines_of(plan: str) -> dict[str, Any]:
    """Setting -> what a plan's text shows of it, without the origin."""
    rows = (line.split(maxsplit=1) for line in plan.split("\n\n")[0].splitlines())
    return {setting: text.partition("  [")[0] for setting, text in rows}


def test_a_plan_can_be_written_again() -> None:
    """Loss, optimizer, model and data set as a plan shows them are spec texts that give the same plan."""
    written: dict[str, Any] = {"loss": f"cross_entropy(weight={WEIGHT})", "optimizer": "adam(betas=[0.8, 0.99])"}
    shown = lines_of(str(lossreg.plan(**written, model="mlp(hidden=[8])")))
    assert shown["loss"].startswith(f"builtin.cross_entropy(weight={WEIGHT}, ignore_index=-100, reduction='mean'")
    again = lines_of(str(lossreg.plan(**{key: shown[key] for key in ("loss", "optimizer", "model", "data")})))
    assert again == shown


def test_the_record_of_a_tensor_is_the_list_as_it_was_written() -> None:
    """The record's parameters hold the numbers of the weight, not its repr, nor their float32."""
    plan = lossreg.plan(loss=f"cross_entropy(weight={WEIGHT})")
    assert plan.components["loss"]["params"]["weight"] == [1, 1, 1, 1, 1, 1, 1, 1, 1, 0.1]
    assert ComponentSpec.parse(plan.to_json()["spec"]["loss"]) == ComponentSpec.parse(
        f"builtin.cross_entropy(weight={WEIGHT})"
    )


def test_an_infinite_number_is_shown_as_it_is_written() -> None:
    """Infinity as a default is not a text in a plan."""
    registries = lossreg.load_registries(allow=[])

    @registries.losses.register("capped", target="index")
    class Capped(lossreg.losses["cross_entropy"].factory):  # type: ignore[misc]  # a class that is known at run time
        """Cross-entropy with a bound that does nothing."""

        def __init__(self, bound: float = float("inf")) -> None:
            super().__init__()
            self.bound = bound

    assert lines_of(str(lossreg.plan(loss="capped", registries=registries)))["loss"] == "local.capped(bound=inf)"


@for_each(("name", "shown"), [("mse", "builtin.mse(reduction='mean')"), ("l1", "builtin.l1(reduction='mean')")])
def test_the_old_words_of_torch_are_not_shown(name: str, shown: str) -> None:
    """`size_average` and `reduce`, which torch deprecates, are not parameters of its losses here."""
    assert lines_of(str(lossreg.plan(loss=name, data="diabetes")))["loss"] == shown


def test_a_subclass_of_a_loss_of_torch_inherits_no_old_words() -> None:
    """A loss that is made from one of torch's has them no more than that one."""
    registries = lossreg.load_registries(allow=[])

    @registries.losses.register("half", target="dense")
    class Half(lossreg.losses["mse"].factory):  # type: ignore[misc]  # a class that is known at run time
        """Half the squared error."""

    assert [*registries.losses["half"].signature.parameters] == ["reduction"]


def test_show_has_the_value_that_was_set(lossreg_command: Command) -> None:
    """A spec text is shown with its values beside the defaults."""
    result = lossreg_command("show", "loss", "dice(smooth=1)")
    assert "spec      builtin.dice(smooth=1)" in result.out
    (row,) = [line.split() for line in result.out.splitlines() if line.startswith("  smooth ")]
    assert " ".join(row) == "smooth float = 1 (set; default 1e-05)"


def test_show_as_json_has_the_value_that_was_set(lossreg_command: Command) -> None:
    """The JSON object has the whole spec, and `set` at the parameters that it sets."""
    facts = json.loads(lossreg_command("show", "optimizer", "sgd(lr=0.5)", "--json").out)
    assert facts["spec"] == "builtin.sgd(lr=0.5)"
    assert {row["name"]: row["set"] for row in facts["parameters"] if "set" in row} == {"lr": "0.5"}
