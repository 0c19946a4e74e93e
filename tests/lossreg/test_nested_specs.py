"""Nested specs that stand first in a spec, without a name."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import lossreg
from lossreg import ComponentSpec, SpecError
from lossreg.registry.build import resolve
from tests.table import for_each

REGISTRIES = lossreg.load_registries(allow=[])


@for_each(
    ("text", "canonical"),
    [
        ("warmup(cosine(), length=5)", "warmup(cosine, length=5)"),
        ("warmup( Cosine , start_factor=.1, length=5)", "warmup(cosine, length=5, start_factor=0.1)"),
        ("sequential(linear(total_iters=5), cosine)", "sequential(linear(total_iters=5), cosine)"),
        ("a(b(c(x=1), y=2), z=[d])", "a(b(c(x=1), y=2), z=[d])"),
        ("warmup(builtin.cosine_annealing_lr)", "warmup(builtin.cosine_annealing_lr)"),
    ],
)
def test_nested_specs_come_first(text: str, canonical: str) -> None:
    """A nested spec without a name keeps its place before the parameters; the canonical text reads as itself."""
    spec = ComponentSpec.parse(text)
    assert spec.text == canonical
    assert ComponentSpec.parse(canonical) == spec
    assert copy.deepcopy(spec) == spec


def test_edits_keep_nested_specs() -> None:
    """Another name or another parameter leaves what stands first."""
    spec = ComponentSpec.parse("warmup(cosine, length=5)")
    assert spec.with_params({"length": 6}).text == "warmup(cosine, length=6)"
    assert spec.with_name("builtin.warmup").text == "builtin.warmup(cosine, length=5)"


@for_each("text", ["a(1)", "a('b')", "a([b])", "a(None)", "a(inf)", "a(-b)", "a({})", "a(*b)", "a(b + c)"])
def test_only_specs_may_stand_without_a_name(text: str) -> None:
    """A number, a text or a list without a name is an error that says to give it one."""
    with pytest.raises(SpecError, match="is not a spec"):
        ComponentSpec.parse(text)


def test_an_expression_without_a_name_is_no_nested_spec() -> None:
    """`epoch // 2` as the first argument is told how it is written."""
    with pytest.raises(SpecError, match=r"write lr_lambda='epoch // 2'"):
        ComponentSpec.parse("lambda_lr(epoch // 2)")


@for_each(
    ("text", "written"),
    [
        (
            "warmup(cosine(), length=5)",
            "builtin.warmup(length=5, schedule=builtin.cosine_annealing_lr)",
        ),
        (
            "sequential(constant(), warmup(cosine), milestones=[5])",
            "builtin.sequential_lr(milestones=[5], schedulers=[builtin.constant_lr, "
            "builtin.warmup(schedule=builtin.cosine_annealing_lr)])",
        ),
        ("chained(linear)", "builtin.chained(schedulers=[builtin.linear_lr])"),
    ],
)
def test_what_is_written_to_disk_names_the_parameter(text: str, written: str) -> None:
    """With full ids, a nested spec stands under the parameter that its component declares; that text reads the same."""
    spec = resolve(REGISTRIES.schedulers, ComponentSpec.parse(text)).spec
    assert spec.text == written
    assert resolve(REGISTRIES.schedulers, ComponentSpec.parse(written)).spec == spec


@for_each(
    ("text", "message"),
    [
        ("step_lr(cosine)", r"step_lr: cosine stands without a name; write key=cosine\. step_lr\(step_size: int"),
        (
            "warmup(cosine, linear)",
            "warmup: linear stands without a name, but schedule is one component, which is cosine",
        ),
        ("warmup(cosine, schedule=linear)", "schedule is given twice: as cosine, .* and as schedule=linear"),
        ("warmup(nonsense)", "no scheduler named 'nonsense'"),
    ],
)
def test_a_nested_spec_that_has_no_place_is_an_error(text: str, message: str) -> None:
    """The error names the component, what was written and what to write."""
    with pytest.raises(lossreg.LossregError, match=message):
        resolve(REGISTRIES.schedulers, ComponentSpec.parse(text))


def test_an_alias_of_a_built_in_gives_way_to_a_name() -> None:
    """`cosine` means a component that is called so; without one it is an alias of the built-in."""
    registries: Any = lossreg.load_registries(allow=[])
    assert registries.schedulers["cosine"].id == "builtin.cosine_annealing_lr"
    registries.schedulers.register("cosine", "torch.optim.lr_scheduler:StepLR")
    assert registries.schedulers["cosine"].id == "local.cosine"
    assert registries.schedulers.short_name(registries.schedulers["cosine"]) == "cosine"
    assert registries.schedulers["builtin.cosine"].id == "builtin.cosine_annealing_lr"


def test_a_factory_may_take_any_nested_component() -> None:
    """The field `nested` is of every kind: a loss may take another one as its first, nameless argument."""
    registries: Any = lossreg.load_registries(allow=[])

    def halved(loss: Any) -> Any:
        return lambda output, target: loss(output, target) / 2

    registries.losses.register("halved", target="index", nested="loss", required="loss")(halved)
    logits, target = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1])
    value = registries.losses.build("halved(halved(cross_entropy))")(logits, target)
    torch.testing.assert_close(value, torch.nn.functional.cross_entropy(logits, target) / 4)
