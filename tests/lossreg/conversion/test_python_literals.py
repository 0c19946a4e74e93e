"""Python files of literals, read without running them."""

from __future__ import annotations

from typing import Any

import pytest

from lossreg.conversion.python_literals import Unread, read_literals
from lossreg.errors import ConfigError
from tests.table import for_each


def value_of(text: str, base: dict[str, Any] | None = None) -> Any:
    """The value that a text assigns to `x`."""
    return read_literals(text, "config.py", base)[0]["x"]


@for_each(
    "text, value",
    [
        ("x = -1", -1),
        ("x = 5e-4 * 128 * 8 / 512", 5e-4 * 128 * 8 / 512),
        ("a = 3\nx = a - 1", 2),
        ("x = dict(type='SGD', lr=1e-3 * 2)", {"type": "SGD", "lr": 2e-3}),
        ("x = {'a': [1, (2, 3)], **dict(b=None)}", {"a": [1, (2, 3)], "b": None}),
        ("a = dict(b=1)\nx = dict(a, c=2)", {"b": 1, "c": 2}),
        ("a = [1]\nx = [*a, 2] + [3] * 2", [1, 2, 3, 3]),
        ("x = int(0.9 * 10)", 9),
        ("a = dict(b=dict(c=1))\na['b']['c'] = 5\nx = a['b']['c']", 5),
        ("x = dict(a=1)\nx.update(a=2, b=3)", {"a": 2, "b": 3}),
        ("x, y = 1, 2\nx += y", 3),
        ("from torch.optim import AdamW as A\nx = dict(type=A)", {"type": "torch.optim.AdamW"}),
        ("import torch\nx = torch.optim.SGD", "torch.optim.SGD"),
        ("import torch.nn as nn\nx = nn.L1Loss", "torch.nn.L1Loss"),
        ("x = float('inf')", float("inf")),
        ("x: int = 4", 4),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_a_literal(text: str, value: Any) -> None:
    """Numbers, texts, lists, tables, calls of dict, arithmetic, names assigned before; imports are paths."""
    assert value_of(text) == value


def test_a_base_is_read_by_its_name_and_in_braces() -> None:
    """As MMEngine has it: `_base_.lr`, and `{{_base_.lr}}`."""
    base = {"lr": 0.5, "model": {"depth": 3}}
    assert value_of("x = _base_.lr * 2", base) == 1.0
    assert value_of("x = {{_base_.model.depth}}", base) == 3


@for_each(
    "text",
    [
        "x = open('/etc/passwd').read()",
        "x = __import__('os').system('true')",
        "x = 9**9**9**9",
        "x = 'a' * 10**9",
        "x = [0] * 10**9",
        "x = 1 / 0",
        "x = unknown + 1",
        "x = (lambda: 1)()",
        "x = [y for y in (1, 2)]",
        "dict = 3\nx = dict(a=1)",
    ],
)
def test_what_is_none_is_named_with_its_line_and_not_computed(text: str) -> None:
    """Calls, names that are not known, and arithmetic that has no value or a vast one."""
    value = value_of(f"\n{text}")
    assert isinstance(value, Unread)
    assert str(value).startswith(f"config.py, line {2 + text.count(chr(10))}: ")


def test_a_part_that_is_no_literal_leaves_the_rest() -> None:
    """Only what depends on it is not known."""
    value = value_of("x = dict(a=1, b=foo(), c=[2, bar])")
    assert (value["a"], value["c"][0]) == (1, 2)
    assert isinstance(value["b"], Unread)
    assert isinstance(value["c"][1], Unread)


def test_statements_that_may_change_values_are_named() -> None:
    """A loop and a call are passed over, and what they assign is not known from there on."""
    names, passed_over = read_literals("x = 1\nfor x in range(3):\n    y = x\nprint(x)\ndef f(): pass\n", "c.py")
    assert isinstance(names["x"], Unread)
    assert isinstance(names["y"], Unread)
    assert passed_over == [
        "c.py, line 2: for x in range(3): is not an assignment of a literal",
        "c.py, line 4: print(x) is not an assignment of a literal",
    ]


@for_each(
    "text, said",
    [
        ("x = 1\ny = (2", "config.py, line 2 is not Python: '(' was never closed"),
        ("x = \x00", "config.py is not Python"),
        ("x = " + "-" * 100_000 + "1", "config.py"),
        ("x = 1" + " + 1" * 20_000, "config.py is not Python that can be read"),
        ("x = 1" + " + 1" * 900, "config.py cannot be read: it is nested too deep"),
        ("#" * 1_000_001, "config.py cannot be read: it has more than 1,000,000 characters"),
    ],
    ids=lambda value: value[:12],
)
def test_what_is_broken_is_one_error(text: str, said: str) -> None:
    """With the file, and the line where there is one."""
    with pytest.raises(ConfigError) as caught:
        value_of(text)
    assert said in caught.value.message
