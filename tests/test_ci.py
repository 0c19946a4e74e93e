"""What .ci/run runs beside `pytest`: heavy tests, and other trainers, each of which a step has to install."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ADAPTER_TESTS = sorted((ROOT / "tests" / "lossreg" / "adapters").glob("*.py"))


def test_every_example_is_run_by_a_test_of_the_adapters() -> None:
    """These are what the steps of other trainers run."""
    tests = "".join(path.read_text(encoding="utf-8") for path in ADAPTER_TESTS)
    examples = sorted((ROOT / "docs" / "examples").glob("*.py"))
    assert examples
    assert [path.name for path in examples if path.name not in tests] == []


def test_heavy_tests_are_run_by_a_step() -> None:
    """`pytest` alone leaves them out."""
    assert re.search(
        r"^step \S+ .*pytest\S* .*-m heavy$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE
    )


def test_every_other_trainer_is_installed_by_a_step() -> None:
    """An adapter's trainer is a requirement of an extra that .ci/run installs."""
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    installed = {
        re.split(r"[\[>=<]", requirement)[0].removeprefix("pytorch-")
        for extra in re.findall(r"-e \"\.\[(\w+)\]\"", steps)
        for requirement in extras[extra]
    }
    adapters = {path.stem for path in (ROOT / "lossreg" / "adapters").glob("*.py")}
    adapters -= {"__init__", "before_epochs"}  # the latter is for trainers of more than one name
    trainers = {name.partition("_")[0] for name in adapters}  # that of ignite_modes is ignite
    assert {"fastai", "lightning"} <= trainers
    assert trainers - installed == set()
