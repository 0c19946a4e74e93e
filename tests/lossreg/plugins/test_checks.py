"""Faulty plugins: each costs one line and itself."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith, Install, LoadWith

FAILURES = {
    "bad-import": "ModuleNotFoundError: No module named 'a_module_that_nobody_has'",
    "bad-raises": "ValueError: I cannot be imported on any day",
    "bad-syntax": "SyntaxError: invalid syntax",
    "bad-exit": "SystemExit: 3",
    "bad-misspelt": "there is no hook 'lossreg_loses'. Did you mean 'lossreg_losses'",
    "bad-unmarked": "lossreg_losses is not marked with @lossreg.hookimpl",
    "bad-wrapper": "lossreg_losses is a wrapper",
    "bad-arguments": "lossreg_losses takes registry, which the hook does not give",
    "bad-hook-raises": "RuntimeError: no losses today",
    "bad-answer": "lossreg_losses returned 7",
    "bad-record": "it returns lossreg.Loss components",
    "bad-name": "a loss is named 'Not-A-Name'",
    "bad-duplicate": "it offers the loss 'twice' twice",
    "bad-empty": "its hooks returned no component",
    "bad-nothing": "no function is marked with @lossreg.hookimpl",
    "bad-factory": "the factory of loss 'lost' does not exist: bad_factory.plugin:Nowhere",
    "bad-factory-module": "the factory of loss 'lost' does not exist: bad_factory_module.nowhere:Loss",
    "claims-builtin": "the name 'builtin' is reserved for lossreg itself",
    "claims-module": "the module lossreg_builtin.plugin belongs to lossreg itself",
}

BUILTIN = sorted(entry.name for entry in lossreg.load_registries(allow=[]).losses.values())


@pytest.mark.parametrize(("distribution", "reason"), FAILURES.items())
def test_a_faulty_plugin_costs_one_line_and_itself(
    install: Install, load_with: LoadWith, caplog: pytest.LogCaptureFixture, distribution: str, reason: str
) -> None:
    """A faulty plugin is one warning line that says who and why; everything else works and is listed."""
    with caplog.at_level(logging.WARNING):
        registries = load_with(install(distribution, "good-losses"))
    assert registries.losses.names() == sorted([*BUILTIN, "focal"])
    (line,) = caplog.messages
    assert f"({distribution} 1.0) failed to load: " in line
    assert reason in line


@pytest.mark.parametrize(("distribution", "reason"), FAILURES.items())
def test_the_reason_of_a_failure_is_kept(install: Install, load_with: LoadWith, distribution: str, reason: str) -> None:
    """The report of a plugin that failed has its state and the reason, and nothing that it offers."""
    reports = load_with(install(distribution)).reports
    (report,) = [report for report in reports if report.provenance.distribution == distribution]
    assert (report.state, report.components) == ("failed", ())
    assert reason in str(report.problem)


@pytest.mark.parametrize(("distribution", "reason"), FAILURES.items())
def test_strict_makes_every_fault_an_error(
    install: Install, load_with: LoadWith, distribution: str, reason: str
) -> None:
    """Where it is strict, each fault is an error with its reason."""
    with pytest.raises(lossreg.PluginError) as caught:
        load_with(install(distribution), strict=True)
    assert reason in str(caught.value)


def test_the_command_lists_what_works_and_warns_of_every_fault(install: Install, command_with: CommandWith) -> None:
    """With all faulty plugins installed, `lossreg list` has one line on stderr for each, and lists all others."""
    result = command_with("list", "loss", "--json", path=install(*FAILURES, "good-losses"))
    assert result.returncode == 0
    assert [row["name"] for row in json.loads(result.stdout)] == [*BUILTIN, "focal"]
    lines = result.stderr.splitlines()
    assert len(lines) == len(FAILURES)
    for distribution, reason in FAILURES.items():
        (line,) = [line for line in lines if f"({distribution} 1.0) failed to load: " in line]
        assert reason in line


def test_lossreg_plugins_explains_every_failure(install: Install, command_with: CommandWith) -> None:
    """`lossreg plugins` has a row for each plugin that failed, with its state and the reason."""
    result = command_with("plugins", "--json", path=install(*FAILURES))
    rows = {row["distribution"]: row for row in json.loads(result.stdout)}
    assert [distribution for distribution in FAILURES if rows[distribution]["state"] != "failed"] == []
    assert [name for name, reason in FAILURES.items() if reason not in rows[name]["problem"]] == []
    assert [distribution for distribution in FAILURES if rows[distribution]["offers"]] == []


def test_a_strict_command_ends_with_every_fault(install: Install, command_with: CommandWith) -> None:
    """Where it is strict, faults end the command with 2 and all their reasons."""
    result = command_with("list", "--strict", path=install(*FAILURES))
    assert (result.returncode, result.stdout) == (2, "")
    assert [reason for reason in FAILURES.values() if reason not in result.stderr] == []
