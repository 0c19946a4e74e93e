"""Comparisons that a script starts, whose processes import it."""

from __future__ import annotations

import subprocess
from pathlib import Path

OWN = """
import lossreg, torch

@lossreg.losses.register("own", input="logits", target="index")
def own(input, target):
    return torch.nn.functional.cross_entropy(input, target)
"""
CALL = "lossreg.compare(loss=['own', 'dice'], model='mlp', epochs=1, seeds=1, limit_train=64, out='out', quiet=True)"


def test_a_script_compares_what_it_registers(warm_python: str, tmp_path: Path) -> None:
    """A loss that the script registers is there in the processes, too."""
    (tmp_path / "script.py").write_text(f"{OWN}\nif __name__ == '__main__':\n    print({CALL}.is_whole)\n")
    result = subprocess.run([warm_python, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "True\n"), result.stderr


def test_a_script_without_a_main_guard_is_told_so(warm_python: str, tmp_path: Path) -> None:
    """One error that says where the call belongs; nothing is left, and no process starts another."""
    (tmp_path / "script.py").write_text(f"{OWN}\n{CALL}\n")
    result = subprocess.run([warm_python, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "calls lossreg.compare below `if __name__ == '__main__':`" in result.stderr.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["script.py"]
