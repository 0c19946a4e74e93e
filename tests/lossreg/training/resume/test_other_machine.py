"""What a run says that goes on elsewhere: all that a repeat would say, too."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

import lossreg

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lossreg.training.resume.conftest import BreakOff, Finish


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["versions"].update(numpy="1.2.3"), "the run began with numpy 1.2.3 (here "),
        (lambda c: c.update(device="cuda:0"), "the run began on cuda:0 and goes on on cpu"),
        (lambda c: c.update(threads=77), "the run began with 77 threads and goes on with "),
        (lambda c: c["machine"].update(cpu="Old CPU"), "the run began on the CPU Old CPU and goes on on the CPU "),
        (lambda c: c["precision"].update(used="bf16"), "the run began in precision bf16 and goes on in precision 32"),
    ],
)
def test_each_difference_is_a_warning(
    finish: Finish,
    break_off: BreakOff,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[dict[str, Any]], object],
    said: str,
) -> None:
    """And the run goes on."""
    file = break_off(6) / "run.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    caplog.set_level(logging.WARNING, "lossreg")
    finish(resume=file.parent)
    (line,) = caplog.messages
    assert line.startswith(said)
    assert line.endswith(": what follows may differ in the last bits")


def test_the_same_machine_is_nothing_to_say(
    finish: Finish, break_off: BreakOff, caplog: pytest.LogCaptureFixture
) -> None:
    """A torch that says with a `+` what it was built for is the same version."""
    directory = break_off(6)
    file = directory / "run.json"
    content = json.loads(file.read_text())
    content["versions"]["torch"] = content["versions"]["torch"].partition("+")[0] + "+other"
    file.write_text(json.dumps(content))
    finish(resume=directory)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not a whole run.json"),
        ("[1]", "it holds no keys and values"),
        ("[" * 10_000, "it is nested deeper than"),
    ],
)
def test_a_broken_record_is_one_line(break_off: BreakOff, text: str, said: str) -> None:
    """In the words of all who read past runs."""
    directory = break_off(6)
    (directory / "run.json").write_text(text)
    with pytest.raises(lossreg.ConfigError) as caught:
        lossreg.run(resume=directory)
    assert said in caught.value.message
    assert len(caught.value.message.splitlines()) == 1
