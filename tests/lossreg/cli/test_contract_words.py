"""What `lossreg show` says of a contract."""

from __future__ import annotations

import types
import typing
from typing import TYPE_CHECKING, Any

import attrs

from lossreg import Dataset, Loss, Metric, Model, Observer, Optimizer, Scheduler
from lossreg.cli.contract_words import WORDS, contract_lines
from lossreg.component import KINDS, Component
from lossreg.components import NEEDS
from tests.table import for_each, for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command

TYPES: dict[str, Any] = {one.kind: one for one in (Dataset, Loss, Metric, Model, Observer, Optimizer, Scheduler)}
SHOWN_ELSEWHERE = {("loss", "data_values")}


def words_of(annotation: Any) -> set[Any]:
    """The values of the Literals in an annotation, and None if it is one."""
    if typing.get_origin(annotation) is typing.Literal:
        return {*typing.get_args(annotation)}
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return {word for one in typing.get_args(annotation) for word in words_of(one)}
    return {None} if annotation is type(None) else set()


def test_every_field_has_words() -> None:
    """Of each kind, and for each word that the field may be."""
    assert WORDS.keys() == {*KINDS}
    for kind, component_type in TYPES.items():
        fields = {(kind, name) for name in component_type.contract_fields()}
        assert fields - SHOWN_ELSEWHERE == {(kind, name) for name in WORDS[kind]}
        attributes = attrs.fields_dict(attrs.resolve_types(component_type))
        for name, say in WORDS[kind].items():
            unsaid = {attributes[name].default}  # which is never shown
            for word in words_of(attributes[name].type) - unsaid:
                assert len(say(word)) > 5
    assert all(WORDS["optimizer"]["needs"]([word]) for word in NEEDS)


@for_each(
    ("component", "lines"),
    [
        (Loss("a", "b:c", target="index"), ["target=index: class indices (N, *), int64"]),
        (
            Loss("a", "b:c", target=None, takes=("logits", "mask")),
            [
                "target=None: it takes no target",
                "takes=logits, mask: what it is called with; a training loop of your own does that, a run does not",
            ],
        ),
        (Optimizer("a", "b:c"), []),
        (
            Optimizer("a", "b:c", needs=(), wrapped={"closure": False}),
            [
                "needs=none: parameters and their gradients alone",
                "wrapped=closure=False: what the optimizers that are its parameters must have",
            ],
        ),
        (Scheduler("a", "b:c"), ["interval=epoch: it steps after each epoch"]),
        (Model("a", "b:c"), []),
        (
            Metric("a", "b:c", better="higher", target="index", input="labels", bounds=(0, None)),
            [
                "better=higher: higher values are better",
                "target=index: class indices (N, *), int64",
                "input=labels: the class of the greatest output; of samples that may have any number of classes, a 0 "
                "or 1 for each",
                "bounds=0, None: its values are at least 0",
            ],
        ),
    ],
    ids=lambda one: getattr(one, "kind", ""),
)
def test_only_what_is_declared_is_said(component: Component, lines: list[str]) -> None:
    """A default says nothing, but for when a scheduler steps."""
    assert contract_lines(component) == lines


@for_each_apart("name", ["dice", "l1", "triplet_margin"])
def test_no_value_of_python_is_shown(name: str, lossreg_command: Command) -> None:
    """No empty mapping and no tuple."""
    shown = lossreg_command("show", "loss", name).out.partition("\nparameters")[0]
    assert "contract  target=" in shown
    assert not any(sign in shown for sign in ("{}", "=(", "averages=None", "data_values"))
