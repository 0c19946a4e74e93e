"""The tests that `lossreg new` writes for a loss: they hold for another loss, and notice what is wrong with one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lossreg.cli.new import fill_in, write_folder
from lossreg.cli.new_names import Names

HEAD = "import torch\nfrom torch import nn\nfrom torch.nn import functional\n\n"

#: A loss -> the tests that it fails, and no others.
LOSSES: dict[str, tuple[str, set[str]]] = {
    "another": (
        "class MineLoss(nn.CrossEntropyLoss):\n"
        "    def __init__(self, smoothing: float = 0.1, reduction: str = 'mean'):\n"
        "        super().__init__(label_smoothing=smoothing, reduction=reduction)\n",
        set(),
    ),
    "a function": (
        "def MineLoss(output, target, scale: float = 2.0):\n"
        "    return scale * functional.cross_entropy(output, target)\n",
        set(),
    ),
    "ignores its reduction": (
        "class MineLoss(nn.Module):\n"
        "    def __init__(self, reduction: str = 'mean'):\n"
        "        super().__init__()\n"
        "    def forward(self, output, target):\n"
        "        return functional.cross_entropy(output, target)\n",
        {"test_a_reduction_that_is_taken_is_obeyed"},
    ),
    "changes its input": (
        "def MineLoss(output, target):\n"
        "    value = functional.cross_entropy(output, target)\n"
        "    with torch.no_grad():\n"
        "        output.sub_(output.amax(1, keepdim=True))\n"
        "    return value\n",
        {"test_output_and_target_stay_as_they_are"},
    ),
    "is NaN for an empty class": (
        "def MineLoss(output, target):\n"
        "    each = functional.cross_entropy(output, target, reduction='none')\n"
        "    return torch.stack([each[target == index].mean() for index in range(output.shape[1])]).mean()\n",
        {"test_a_class_without_samples_is_no_nan", "test_a_mean_that_is_declared_is_one"},
    ),
    "is no mean": (
        "def MineLoss(output, target):\n    return functional.cross_entropy(output, target, reduction='sum')\n",
        {"test_a_mean_that_is_declared_is_one"},
    ),
}


def installed(folder: Path, source: str) -> Path:
    """A new distribution with this loss in it, and the metadata of its installation beside it."""
    files = fill_in(Names("my-losses", "loss", "mine").values())
    plugin = files["my_losses/plugin.py"].replace('            defaults={"gamma": 2.0},\n', "")
    write_folder(folder / "site", {**files, "my_losses/plugin.py": plugin, "my_losses/mine.py": HEAD + source})
    metadata = folder / "site" / "my_losses-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-losses\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text("[lossreg]\nmy_losses = my_losses.plugin\n")
    return folder / "site"


@pytest.mark.parametrize("loss", LOSSES)
def test_the_written_tests_notice_a_fault_and_nothing_else(warm_python: str, tmp_path: Path, loss: str) -> None:
    """With another loss in place of the example the tests pass; a fault fails the test of that fact alone."""
    source, failing = LOSSES[loss]
    site = installed(tmp_path, source)
    choice = [] if not failing else ["--deselect", "tests/test_mine.py::test_it_trains"]
    result = subprocess.run(
        [warm_python, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rf", "tests", *choice],
        cwd=site,
        env={
            **os.environ,
            "PYTHONPATH": str(site),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the extra of a new distribution is pytest alone
        },
        capture_output=True,
        text=True,
        check=False,
    )
    failed = {
        line.partition("::")[2].partition(" ")[0] for line in result.stdout.splitlines() if line.startswith("FAILED")
    }
    assert failed == failing, result.stdout
    assert result.returncode == bool(failing)
