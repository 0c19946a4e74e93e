"""Trains a little with every optimizer of torch and of other libraries, and says of each how it went.

Each class is registered as a plugin would offer it, without further fields, and named in a run on the digits, with the
rate 0.001 where it has none of its own. Libraries that are not installed are left out
(`pip install pytorch_optimizer timm torch-optimi schedulefree`).

    python benchmarks/optimizers.py [--samples 256] [--epochs 1] [LIBRARY ...]

The outcome is a table for each library: the test accuracy, or the line by which lossreg refuses the run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import lossreg

#: Module -> its distribution.
LIBRARIES = {
    "torch.optim": "torch",
    "pytorch_optimizer": "pytorch_optimizer",
    "timm.optim": "timm",
    "optimi": "torch-optimi",
    "schedulefree": "schedulefree",
}


def classes(module: str) -> dict[str, type]:
    """The optimizers that a library offers, by the name of the class."""
    found = vars(importlib.import_module(module)).items()
    return {
        name: kind
        for name, kind in sorted(found)
        if isinstance(kind, type)
        and issubclass(kind, torch.optim.Optimizer)
        and kind is not torch.optim.Optimizer
        and not name.startswith("_")
    }


def specs(module: str, registries: lossreg.Registries) -> Iterator[tuple[str, str]]:
    """The name of each optimizer's class, and a spec that names it."""
    built_in = {entry.factory: entry.id for entry in registries.optimizers.values()}
    for index, (name, kind) in enumerate(classes(module).items()):
        if kind in built_in:
            yield name, built_in[kind]
            continue
        short = f"{module.partition('.')[0]}_{index}"
        registries.optimizers.register(short, f"{kind.__module__}:{kind.__qualname__}")
        needs_rate = "lr" in registries.optimizers[short].signature.required
        yield name, f"{short}(lr=0.001)" if needs_rate else short


def outcome(spec: str, registries: lossreg.Registries, usual: dict[str, Any]) -> tuple[bool, str]:
    """Whether a run succeeds, and its test accuracy, or the first line of the error."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = lossreg.run(optimizer=spec, registries=registries, out=Path(folder, "run"), **usual)
        except lossreg.LossregError as error:
            return False, str(error).partition("\n")[0].rpartition(" cannot be built: ")[2]  # without all parameters
        except Exception as error:  # what should have been refused before the run
            return False, f"RAISED IN THE RUN: {type(error).__name__}: {str(error).partition(chr(10))[0][:160]}"
        return True, f"{result.final['test_accuracy']:.3f}"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"of {', '.join(LIBRARIES)}; all by default")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lossreg").setLevel(logging.ERROR)
    usual = {
        "data": "digits", "epochs": options.epochs, "limit_train": options.samples, "limit_test": options.samples,
        "device": "cpu", "precision": "32", "quiet": True,
    }  # fmt: skip
    for module in options.libraries or LIBRARIES:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            print(f"{module} is not installed\n")
            continue
        registries = lossreg.load_registries()
        print(f"{LIBRARIES[module]} {importlib.metadata.version(LIBRARIES[module])}\n")
        print("| Optimizer | Test accuracy, or why it does not run |\n|---|---|", flush=True)
        results = []
        for name, spec in specs(module, registries):
            with contextlib.redirect_stdout(None):  # some print what they think of their parameters
                runs, text = outcome(spec, registries, usual)
            print(f"| `{name}` | {text.replace('|', chr(92) + '|')} |", flush=True)
            results.append(runs)
        print(f"\n{sum(results)} of {len(results)} run\n", flush=True)


if __name__ == "__main__":
    main()
