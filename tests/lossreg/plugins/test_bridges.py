"""Bridges: names from an index, without the package; absent where it is; aside for a plugin of the package itself."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lossreg import AmbiguousNameError, ComponentError, ConfigError, UnknownNameError
from lossreg.plugins.plugin_settings import load_settings
from tests.toy_bridge import LION, index, write_bridges, write_distribution, write_package

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.conftest import LoadWith


def test_names_are_there_and_the_package_is_not_imported(tmp_path: Path, load_with: LoadWith) -> None:
    """What an index has is listed, looked up and described; the package is imported when the factory is needed."""
    found = load_with(write_package(write_bridges(tmp_path, "toy")), bridges=True)
    assert "lion" in found.optimizers.names()
    entry = found.optimizers["lion"]
    assert (entry.id, entry.summary, entry.component.defaults) == ("toy.lion", "Roars", {"lr": 0.1, "momentum": 0.5})
    assert str(entry.provenance) == "toy 1.0"
    assert "toy" not in sys.modules
    assert entry.describe() == "lion(lr=0.1, momentum=0.5)"
    assert "toy" in sys.modules


def test_a_name_of_an_absent_package_says_how_to_get_it(tmp_path: Path, load_with: LoadWith) -> None:
    """Without the package its names are absent, and the error of a lookup names the bridges that have one."""
    found = load_with(write_bridges(tmp_path, "toy", "zoo"), bridges=True)
    assert "lion" not in found.optimizers
    with pytest.raises(UnknownNameError) as raised:
        found.optimizers["Lion"]
    assert str(raised.value) == (
        "no optimizer named 'Lion' is installed; toy and zoo have one: pip install 'lossreg[toy]' or pip install "
        "'lossreg[zoo]'"
    )
    with pytest.raises(UnknownNameError, match=r"named 'zoo.roar' is installed; zoo has one: pip install"):
        found.losses["zoo.roar"]


def test_an_index_that_cannot_be_read_takes_nothing_from_an_error(tmp_path: Path, load_with: LoadWith) -> None:
    """A name that an absent package may have is unknown where its index is broken."""
    folder = write_bridges(tmp_path, "toy")
    (folder / "lossreg_toy" / "index.json").write_text("{")
    with pytest.raises(UnknownNameError, match=r"^no optimizer named 'lion'. "):
        load_with(folder, bridges=True).optimizers["lion"]


def test_a_name_that_no_index_has_is_unknown_as_before(tmp_path: Path, load_with: LoadWith) -> None:
    """Absent packages do not change what is said of a name that they do not have."""
    found = load_with(write_bridges(tmp_path, "toy"), bridges=True)
    with pytest.raises(UnknownNameError, match=r"^no loss named 'dise'. Did you mean 'dice'\? Losses: "):
        found.losses["dise"]


def test_a_name_of_two_packages_is_ambiguous(tmp_path: Path, load_with: LoadWith) -> None:
    """A short name that two bridges offer is an error with the full ids, which resolve."""
    write_package(write_bridges(tmp_path, "toy", "zoo"))
    found = load_with(write_package(tmp_path, "zoo"), bridges=True)
    with pytest.raises(AmbiguousNameError) as raised:
        found.optimizers["lion"]
    assert str(raised.value) == "'lion' is offered by toy.lion (toy 1.0) and zoo.lion (zoo 1.0). Write the full id."
    assert found.optimizers["zoo.lion"].component.factory == "zoo:Lion"


def test_a_built_in_is_never_shadowed(tmp_path: Path, load_with: LoadWith, caplog: pytest.LogCaptureFixture) -> None:
    """A built-in's short name leads to it without a look at an index, even one that cannot be read."""
    folder = write_package(write_bridges(tmp_path, "toy"))
    (folder / "lossreg_toy" / "index.json").write_text("{")
    found = load_with(folder, bridges=True)
    assert found.losses["dice"].id == "builtin.dice"
    assert found.losses.rivals(found.losses["dice"]) == []
    assert not caplog.records
    with caplog.at_level(logging.WARNING), pytest.raises(UnknownNameError):
        found.losses["roar"]
    first, *_ = caplog.records
    assert first.getMessage().startswith("plugin 'toy' (toy 1.0): its table of losses cannot be read: IndexFileError")


def test_a_bridge_steps_aside_for_a_plugin_of_the_package(tmp_path: Path, load_with: LoadWith) -> None:
    """A plugin of the bridge's name wins, silently but for a line in the list of plugins; blocked, it does not."""
    write_bridges(tmp_path, "toy")
    write_distribution(tmp_path, "toy", "2.0", "[lossreg]\ntoy = toy_own\n")
    (tmp_path / "toy_own.py").write_text(
        "import lossreg as lr\n@lr.hookimpl\ndef lossreg_losses():\n"
        "    return [lr.Loss('roar', 'torch.nn:L1Loss', target='dense')]\n"
    )
    found = load_with(tmp_path, bridges=True)
    states = {(report.provenance.plugin, report.state): report for report in found.reports}
    assert states["toy", "aside"].problem == "toy 2.0 offers a plugin of the same name"
    assert states["toy", "aside"].warning is None
    assert found.losses["roar"].component.factory == "torch.nn:L1Loss"
    assert "toy.lion" not in found.optimizers


def test_a_bridge_can_be_blocked(tmp_path: Path, load_with: LoadWith) -> None:
    """By its name or the package's distribution, as any plugin; with nothing allowed only the built-ins load."""
    folder = write_package(write_bridges(tmp_path, "toy"))
    assert "lion" not in load_with(folder, bridges=True, block=["toy"]).optimizers
    assert "lion" not in load_with(folder, bridges=True, allow=[]).optimizers
    assert "lion" in load_with(folder, bridges=True, allow=["toy"]).optimizers
    assert "lion" not in load_with(folder, bridges=False).optimizers


def test_a_run_takes_a_bridged_optimizer(tmp_path: Path, load_with: LoadWith) -> None:
    """It is built with the index's defaults and the user's parameters."""
    import torch

    found = load_with(write_package(write_bridges(tmp_path, "toy")), bridges=True)
    weights = [torch.nn.Parameter(torch.ones(2))]
    group = found.optimizers.build("lion(lr=0.5)", weights).param_groups[0]
    assert (group["lr"], group["momentum"]) == (0.5, 0.5)


def test_many_components_are_listed_as_counts(
    tmp_path: Path, load_with: LoadWith, lossreg_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`list` has the number of each plugin's components of a table; a pattern, --of and --all have the rows."""
    found = load_with(write_package(write_bridges(tmp_path, "toy")), bridges=True)
    monkeypatch.setattr("lossreg.registry.registries.default", found)
    out = lossreg_command("list", "loss").out
    assert "roar" in out  # few are listed beside the others of their kind
    text = lossreg_command("list").out
    assert "losses: builtin " in text
    assert ", toy 1\n" in text
    assert "  roar" not in text
    for arguments in (["--all"], ["roar"], ["loss", "ro*"], ["--of", "toy"], ["loss", "--where", "target=index"]):
        wanted = ["list", *(["*roar"] if arguments == ["roar"] else arguments)]
        assert "  roar" in lossreg_command(*wanted).out


def test_the_list_of_plugins_says_what_is_not_installed(
    tmp_path: Path, load_with: LoadWith, lossreg_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packages of bridges that are absent, with what installs them; of the others the numbers of components."""
    found = load_with(write_package(write_bridges(tmp_path, "toy", "zoo", "farm")), bridges=True)
    monkeypatch.setattr("lossreg.registry.registries.default", found)
    *_, row, _, last = lossreg_command("plugins").out.splitlines()
    assert row.split()[:4] == ["toy", "toy", "1.0", "loaded"]
    assert row.endswith("optimizer: 1; loss: 1")
    assert last == "not installed: farm, zoo (pip install 'lossreg[farm,zoo]')"


def test_looking_for_what_is_not_installed_says_what_installs_it(
    tmp_path: Path, load_with: LoadWith, lossreg_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`show NAME` and `list --of PLUGIN` of a package that is absent."""
    found = load_with(write_bridges(tmp_path, "toy"), bridges=True)
    monkeypatch.setattr("lossreg.registry.registries.default", found)
    shown, listed = lossreg_command("show", "lion"), lossreg_command("list", "--of", "toy")
    assert (shown.code, listed.code) == (2, 2)
    assert "no optimizer named 'lion' is installed; toy has one: pip install 'lossreg[toy]'" in shown.err
    assert "toy is not installed: pip install 'lossreg[toy]'" in listed.err


def test_the_environment_may_leave_bridges_out() -> None:
    """`LOSSREG_BRIDGES` is on unless it says no, and any other word is an error."""
    assert load_settings({}).bridges
    assert load_settings({"LOSSREG_BRIDGES": "yes"}).bridges
    assert not load_settings({"LOSSREG_BRIDGES": "0"}).bridges
    with pytest.raises(ConfigError) as raised:
        load_settings({"LOSSREG_BRIDGES": "timm"})
    assert str(raised.value) == (
        "the environment variable LOSSREG_BRIDGES is one of 1, true, yes (with bridges) or 0, false, no (without "
        "bridges), not 'timm'"
    )


def test_a_row_that_is_not_a_record_is_an_error_of_its_own(tmp_path: Path, load_with: LoadWith) -> None:
    """An unknown field costs the component that has it, when it is looked up, and no other."""
    folder = write_package(write_bridges(tmp_path, "toy"))
    rows = {"optimizer": {"lion": LION, "tiger": {**LION, "stripes": 7}}}
    (folder / "lossreg_toy" / "index.json").write_text(json.dumps(index(components=rows)))
    found = load_with(folder, bridges=True)
    assert found.optimizers["lion"].component.summary == "Roars"
    with pytest.raises(ComponentError, match=r"optimizer 'tiger' is not a record: .*stripes"):
        _ = found.optimizers["tiger"].component


def test_a_table_is_of_the_kind_of_its_hook(tmp_path: Path, load_with: LoadWith) -> None:
    """A hook for losses that returns a table of optimizers is a fault of the plugin."""
    folder = write_package(write_bridges(tmp_path, "toy"))
    plugin = folder / "lossreg_toy" / "plugin.py"
    plugin.write_text(plugin.read_text().replace('BRIDGE.table("loss")', 'BRIDGE.table("optimizer")'))
    (report,) = [one for one in load_with(folder, bridges=True).reports if one.state == "failed"]
    assert report.problem == (
        "lossreg_losses returned a table of Optimizer components; it returns lossreg.Loss components"
    )


def test_a_table_in_a_local_file_is_read(tmp_path: Path, load_with: LoadWith) -> None:
    """A file that a person names may have tables, too."""
    file = tmp_path / "many_losses.py"
    file.write_text(
        "import lossreg as lr\n\n\n@lr.hookimpl\ndef lossreg_losses():\n"
        "    rows = {f'loss_{n}': {'factory': 'torch.nn:L1Loss', 'target': 'dense'} for n in range(9)}\n"
        "    return lr.ComponentTable(lr.Loss, lambda version: rows)\n"
    )
    found = load_with(local=[str(file)])
    assert found.losses["loss_7"].id == "local.loss_7"
    assert found.losses.build("loss_7").reduction == "mean"
