"""Python files of literals, read without running them."""

from __future__ import annotations

from typing import Any

import pytest

from lossreg.conversion.python_literals import read_literals
from lossreg.conversion.unread import Unread
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
    "text",
    [
        "x = [1]\nx.append(2)",
        "x = [1]\nx.extend((2, 3))",
        "x = [1]\nx.insert(0, 2)",
        "x = [1, 2]\nx.clear()",
        "x = [1, 2, 3]\ny = x.pop()\nx.append(y)\nx.pop(0)",
        "x = [1, 2]\ndel x[-1]",
        "x = [1, 2]\nx[-1] = 3",
        "x = [[1], 2]\nx[0] += [3]",
        "x = dict(a=1, b=2)\nx.pop('a')\nx.pop('c', None)",
        "x = dict(a=1, b=2)\ny = x.pop('a')\nx['c'] = x.get('b') + y + x.get('d', 5)",
        "x = dict(a=1)\nx.setdefault('a', 2)\nx.setdefault('b', 3)",
        "x = dict(a=1, b=2)\ndel x['a'], x['b']",
        "x = dict(a=dict(b=1))\nx['a']['b'] *= 3\nx |= dict(c=1)",
        "k = 'a'\nx = dict(a=1)\nx[k] = 2",
        "x = dict(a=dict(b=1))\ny = x['a']\ny['b'] = 2",
        "x = []\ny = x\ny += [1]",
        "x = y = []\ny.append(1)",
    ],
)
def test_what_changes_a_list_or_a_table_is_carried_out(text: str) -> None:
    """As Python does it, also by another name of the same list or table."""
    names: dict[str, Any] = {}
    exec(text, {}, names)  # noqa: S102 - a row of this file
    assert read_literals(text, "config.py") == (names, [])


@for_each(
    "text",
    [
        "if c:\n    x['a']['b'] = 2",
        "for k in c:\n    x['a'][k] = 2",
        "for one in x.values():\n    one['b'] = 2",
        "while c():\n    x['a'].clear()",
        "try:\n    del x['a']['b']\nexcept KeyError:\n    pass",
        "with c:\n    x['a'].pop('b')",
        "def f():\n    x['a']['b'] = 2",
        "x['a'].merge(b=2)",
        "x['a'].update(c())",
        "x['a'].pop(c)",
        "x['a'].b = 2",
        "y = c(x)",
        "y = [c(one) for one in (x, 2)]",
        "y = (lambda: x['a'].clear())()",
        "print(x['a'].merge(b=2))",
        "y = x['a']\nif c:\n    y['b'] = 2",
        "y = [x]\nc(y)",
        "y = dict(z=x['a'])\ny['z'].merge(b=2)",
        "if c:\n    y = x\n    y['a']['b'] = 2",
        "if c:\n    x['a'] = c(x['a'])",
    ],
)
def test_what_may_have_been_changed_is_not_known(text: str) -> None:
    """The line of the statement that is not read is named, and a value that it cannot reach is left."""
    line = 3 + (text.startswith("y = ") and "\n" in text)
    names, _ = read_literals(f"x = dict(a=dict(b=1), d=3)\nz = dict(b=1)\n{text}", "c.py")
    found = names["x"]["a"] if isinstance(names["x"], dict) else names["x"]
    assert isinstance(found, Unread)
    assert str(found).startswith(f"c.py, line {line}: ")
    assert str(found).endswith(" may change it, which is not read")
    assert names["z"] == {"b": 1}


@for_each(
    "text",
    [
        "print(x, len(x['a']), f'{x}')",
        "if x['a']['b'] > 1 or x == 2 or 'd' in x:\n    y = 2",
        "import copy\ny = copy.deepcopy(x)\ny['a']['b'] = 2",
        "y = c(x['d'])",
        "def f():\n    x = 2",
    ],
)
def test_what_is_only_looked_at_stays_known(text: str) -> None:
    """A print, a comparison, a copy, and a number, which nothing changes."""
    assert value_of(f"x = dict(a=dict(b=1), d=3)\n{text}") == {"a": {"b": 1}, "d": 3}


@for_each(
    "text",
    [
        "def f():\n    x['b'] = 2\nx = dict(b=1)\nf()",
        "def f():\n    global x\n    x = 2\nx = 1\nf()",
        "x = 1\nif c:\n    from somewhere import x",
        "x = 1\nif c:\n    def x(): pass",
    ],
)
def test_what_a_function_or_an_import_may_change(text: str) -> None:
    """A function that is called after what it changes was assigned; a name that a condition imports or defines."""
    assert isinstance(value_of(text), Unread)


def test_lists_that_grow_by_themselves_end() -> None:
    """A few lines do not make a list of billions, nor one that is in itself."""
    assert isinstance(value_of("x = [1, 2]\n" + "x.extend(x)\n" * 60), Unread)
    assert isinstance(value_of("x = [1, 2]\n" + "x = [*x, *x]\n" * 60), Unread)
    with pytest.raises(ConfigError, match=r"config\.py cannot be read: it is nested more than 50 levels deep"):
        value_of("x = [1]\nx.append(x)")


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
