"""Registries in several threads at once."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lossreg
from lossreg.plugins.isolation import StdoutToStderr
from lossreg.plugins.plugin_settings import PluginSettings
from lossreg.plugins.provenance import Provenance
from lossreg.registry.registries import Registries

THREADS = 8
SECONDS = 60  # only what hangs is waited for so long


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """What each of eight threads returns that begin together; what one raises, the test does."""
    begin = threading.Barrier(THREADS)
    results: list[Any] = [None] * THREADS

    def run(number: int) -> None:
        begin.wait(SECONDS)
        try:
            results[number] = work(number)
        except BaseException as error:
            results[number] = error

    join([threading.Thread(target=run, args=(number,), daemon=True) for number in range(THREADS)])
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def join(threads: list[threading.Thread]) -> None:
    """Starts threads, and waits until they have ended."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in threads), "threads wait for each other"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes modules that can be imported; they are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    written: list[str] = []

    def module(name: str, code: str) -> None:
        (tmp_path / f"{name}.py").write_text(code)
        written.append(name)

    yield module
    for name in written:
        sys.modules.pop(name, None)


def isolated(*local: str) -> Registries:
    """Registries of one's own that have not looked at a plugin yet."""
    return Registries(PluginSettings(allow=(), bridges=False, local=local))


def test_all_get_one_component_that_is_imported_once(write: Callable[[str, str], None]) -> None:
    """Threads that are the first to look a component up and build it get the same class, and stdout stays."""
    write(
        "late_loss",
        "import time, torch\ntime.sleep(0.02)\nprint('heard on stderr')\nclass Late(torch.nn.L1Loss):\n    pass\n",
    )
    registries, stdout = isolated(), sys.stdout
    registries.losses.register("late", "late_loss:Late", target="dense")
    found = at_once(lambda _: (registries.losses["late"], registries.losses.build("late"), registries.losses["dice"]))
    assert len({(id(entry), type(built), id(entry.factory), id(dice)) for entry, built, dice in found}) == 1
    assert found[0][2].id == "builtin.dice"
    assert sys.stdout is stdout


def test_all_get_one_record_of_a_table() -> None:
    """A record that is made when it is asked for is made once."""
    registries = isolated()
    rows = {"tabled": {"factory": "torch.nn:L1Loss", "target": "dense", "summary": "A row"}}
    registries.losses.add_table(lossreg.ComponentTable(lossreg.Loss, lambda _: rows), Provenance("somewhere"))
    assert len({id(component) for component in at_once(lambda _: registries.losses["tabled"].component)}) == 1


def test_some_register_while_others_look() -> None:
    """None is lost, none vanishes while it is registered again, and a list can be made at any time."""
    registries = isolated()
    registries.load()

    def again(input: Any, target: Any) -> Any:  # noqa: A002  # as torch's losses name it
        return (input - target).sum()

    registries.losses.register(again)

    def work(number: int) -> None:
        for place in range(25):
            if number % 2:
                registries.losses.register(f"own_{number}_{place}", "torch.nn:L1Loss", target="dense")
                registries.losses.register(again)
            else:
                assert registries.losses["again"].name == "again"
                assert "again" in registries.losses.names()

    at_once(work)
    assert sum(name.startswith("local.own_") for name in registries.losses) == 4 * 25


def test_a_module_that_looks_something_up_does_not_wait_for_who_waits_for_it(
    write: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread imports a module that looks a name up, while another loads plugins, this module among them."""
    stage: Any = ModuleType("stage")
    stage.registries, stage.begun = isolated("looks_up"), threading.Event()
    monkeypatch.setitem(sys.modules, "stage", stage)
    write(
        "looks_up",
        "import lossreg, stage, time\n"
        "stage.begun.set()\n"
        f"end = time.monotonic() + {SECONDS}\n"
        "while not stage.registries._loading and time.monotonic() < end:\n    time.sleep(0.001)\n"
        "stage.found = 'dice' in stage.registries.losses\n"
        "@lossreg.losses.register\ndef looked_up(input, target):\n    return (input - target).sum()\n",
    )

    def load() -> None:
        assert stage.begun.wait(SECONDS)
        stage.registries.load()

    try:
        join([threading.Thread(target=work, daemon=True) for work in (load, lambda: __import__("looks_up"))])
        assert stage.found
        assert stage.registries.losses["looked_up"].id == "local.looked_up"
    finally:
        lossreg.losses._remove("local.looked_up")


def test_stdout_comes_back_after_the_last_of_several_blocks() -> None:
    """Blocks of threads overlap: the first that begins may be the first that ends."""
    before = sys.stdout
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        first, second = StdoutToStderr(), StdoutToStderr()
        first.__enter__()
        second.__enter__()
        first.__exit__()
        assert sys.stdout is sys.stderr
        second.__exit__()
        assert sys.stdout is stdout
        with StdoutToStderr(), contextlib.redirect_stdout(io.StringIO()) as inner:
            with StdoutToStderr():
                assert sys.stdout is sys.stderr
            assert sys.stdout is inner
        assert sys.stdout is stdout
    assert sys.stdout is before
