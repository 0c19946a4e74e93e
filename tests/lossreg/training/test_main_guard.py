"""A script without a main guard, where workers are spawned."""

from __future__ import annotations

import subprocess
from pathlib import Path


def test_a_script_without_a_main_guard_is_told_so(warm_python: str, tmp_path: Path) -> None:
    """Worker and script both say that the call belongs below `if __name__ == '__main__':`."""
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, lossreg\n"
        "multiprocessing.set_start_method('spawn', force=True)\n"
        "lossreg.run(loader='dataloader', workers=1, epochs=1, limit_train=64, limit_test=32, out='out', quiet=True)\n"
    )
    command = [warm_python, str(script)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 1
    assert (
        "lossreg.errors.ConfigError: a worker process is importing the script that started it, and would train again: "
        "put the call of lossreg.run below `if __name__ == '__main__':`"
    ) in result.stderr
    last = result.stderr.splitlines()[-1]
    assert "DataError" in last
    assert "or the script that started this run has no `if __name__ == '__main__':`" in last
