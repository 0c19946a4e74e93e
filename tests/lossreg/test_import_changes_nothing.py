"""What importing lossreg leaves as it was: all that a program has set for itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHANGES = """
import gc, locale, logging, os, random, signal, sys, threading, warnings
import numpy, torch

def everything():
    root = logging.getLogger()
    return {
        "sys.path": list(sys.path),
        "finders": [*map(id, sys.meta_path), *map(id, sys.path_hooks)],
        "hooks of errors": (sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "warnings": (list(warnings.filters), warnings.showwarning),
        "logging": (root.level, list(root.handlers), logging.root.manager.disable, logging.raiseExceptions,
                    list(logging.getLogger("lossreg").handlers), logging.getLogger("lossreg").level),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads(), threading.active_count()),
        "random states": (random.getstate(), torch.get_rng_state().tolist(), numpy.random.get_state()[1].tolist()),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "numbers": (torch.get_default_dtype(), numpy.geterr(), locale.setlocale(locale.LC_ALL)),
        "torch": (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark,
                  torch.get_float32_matmul_precision(), torch.is_grad_enabled()),
        "interpreter": (gc.isenabled(), gc.get_threshold(), sys.getrecursionlimit(), sys.getswitchinterval(),
                        sys.gettrace(), sys.getprofile(), sys.dont_write_bytecode),
    }

def compare(what):
    now = everything()
    for name, value in now.items():
        if value != before[name]:
            print(f"{what} changes {name}: {before[name]} -> {value}")

before = everything()
import lossreg
compare("import lossreg")
for name in lossreg.__all__:
    getattr(lossreg, name)
    compare(f"lossreg.{name}")
parts = lossreg.parts(loss="cross_entropy", scheduler="cosine", epochs=2)
compare("lossreg.parts")
lossreg.load_registries(allow=[]).losses.build("dice")
compare("load_registries")
"""


def test_importing_lossreg_changes_nothing_global(warm_python: str, tmp_path: Path) -> None:
    """Neither `import lossreg`, nor a public name, nor a lookup touches what belongs to the program."""
    done = subprocess.run([warm_python, "-c", CHANGES], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_lossreg_imports_nothing_of_others(tmp_path: Path) -> None:
    """Not even attrs: what is imported is lossreg itself and the standard library."""
    code = "import sys; before = set(sys.modules); import lossreg; print(*sorted(set(sys.modules) - before))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout
    assert {name.partition(".")[0] for name in found.split()} - {"lossreg"} <= sys.stdlib_module_names
