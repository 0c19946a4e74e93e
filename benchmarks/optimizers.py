"""Trains a little with every optimizer of torch and of other libraries, resumes it, and says of each how it went.

Each class is registered as a plugin would offer it and named in a run on the digits, with the rate 0.001 where it has
none of its own. Most need no further fields; for the others the table says what is written (optimizer_records.py).
Libraries that are not installed are left out
(`pip install pytorch_optimizer einops timm torch-optimi schedulefree`).

    python benchmarks/optimizers.py [--samples 224] [--epochs 3] [--only NAME] [LIBRARY ...]

The outcome is a table for each library: the training loss in the first epoch and in the last, the test accuracy, and
whether a run that is stopped in its second epoch (`max_steps`) and goes on from its checkpoint (`resume`) ends with the
same weights, bit for bit; or why it does not run, and what to do.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import attrs
import torch
from optimizer_records import RECORDS, REFUSED, Record, classes, factory_of
from optimizer_resume import EXACT, Outcome, run_and_resume
from torch._C._distributed_c10d import HashStore  # torch.distributed has it, but does not say so

import lossreg

#: Module -> its distribution.
LIBRARIES = {
    "torch.optim": "torch",
    "pytorch_optimizer": "pytorch_optimizer",
    "timm.optim": "timm",
    "optimi": "torch-optimi",
    "schedulefree": "schedulefree",
}


@attrs.frozen
class Row:
    """What is said of an optimizer.

    Attributes:
        name: Of its class.
        written: What its record and its user say.
        ran: Whether it trained.
        text: The cells that follow.
        resumed: `exact`, or why not.
        flaw: What is wrong although it ran, or None.
    """

    name: str
    written: str
    ran: bool
    text: tuple[str, str, str]
    resumed: str = ""
    flaw: str | None = None

    def __str__(self) -> str:
        """A row of the table."""
        cells = (f"`{self.name}`", self.written, *self.text)
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def spec_of(module: str, name: str, kind: type, registries: lossreg.Registries, record: Record) -> str:
    """Registers a class, and gives the spec that names it."""
    built_in = {entry.factory: entry.id for entry in registries.optimizers.values()}
    if kind in built_in:
        return f"{built_in[kind]}({record.params})"
    short = f"{module.partition('.')[0]}_{name.lower()}"
    factory = factory_of(kind, record)
    if isinstance(factory, str):
        registries.optimizers.register(short, factory, **record.fields)
    else:
        registries.optimizers.register(short, **record.fields)(factory)
    needs_rate = "lr" in registries.optimizers[short].signature.required
    params = ", ".join(filter(None, [record.params, "lr=0.001" if needs_rate else ""]))
    return f"{short}({params})" if params else short


@contextlib.contextmanager
def _joined(joined: bool) -> Iterator[None]:
    """A group of this process alone, as torchrun makes it."""
    if joined:
        torch.distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        if joined:
            torch.distributed.destroy_process_group()


def row_of(module: str, name: str, kind: type, registries: lossreg.Registries, usual: dict[str, Any]) -> Row:
    """Trains with an optimizer, and resumes it."""
    refused = REFUSED.get(module, {}).get(name)
    record = RECORDS.get(module, {}).get(name, Record())
    spec = spec_of(module, name, kind, registries, record)
    with tempfile.TemporaryDirectory() as folder, _joined(record.joined):
        try:
            done = run_and_resume({**usual, **record.settings, "optimizer": spec}, registries, Path(folder))
        except lossreg.LossregError as error:
            line = error.message.partition("\n")[0].rpartition(" cannot be built: ")[2]  # without all parameters
            return Row(name, str(record), False, ("", "", f"{refused or line}"))
        except Exception as error:  # what should have been refused before the run
            line = f"RAISED IN THE RUN: {type(error).__name__}: {str(error).partition(chr(10))[0][:160]}"
            return Row(name, str(record), False, ("", "", refused or line))
    if refused is not None:
        return Row(name, str(record), False, ("", "", f"{refused} (it is not refused)"))
    return _ran(name, record, done)


def _ran(name: str, record: Record, done: Outcome) -> Row:
    first, last = done.losses
    flaws = [f"{len(done.unmoved)} weight tensors do not move: {', '.join(done.unmoved[:3])}"] if done.unmoved else []
    flaws += ["the loss does not fall"] if not last < first else []
    flaws += [done.wrong] if done.wrong else []
    flaw = "; ".join(flaws) + (f" ({record.remark})" if record.remark and flaws else "") or None
    text = f"{first:.3f} to {last:.3f}", f"{done.result.final['test_accuracy']:.3f}", done.resumed
    if flaw is not None:
        text = (f"{text[0]}, {flaw}", *text[1:])
    return Row(name, str(record), True, text, done.resumed, flaw)


def table(module: str, usual: dict[str, Any], only: Collection[str] = ()) -> Iterator[Row]:
    """The rows of a library, or of some classes of it."""
    registries = lossreg.load_registries()
    for name, kind in classes(module).items():
        if not only or name in only:
            with contextlib.redirect_stdout(None):  # some print what they think of their parameters
                row = row_of(module, name, kind, registries, usual)
            yield row


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"of {', '.join(LIBRARIES)}; all by default")
    parser.add_argument("--samples", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--only", metavar="NAME", action="append", default=[], help="a class; any number of times")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lossreg").setLevel(logging.ERROR)
    usual = {
        "data": "digits", "epochs": options.epochs, "limit_train": options.samples, "limit_test": 256,
        "batch_size": 32, "device": "cpu", "precision": "32",
    }  # fmt: skip
    for module in options.libraries or LIBRARIES:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            print(f"{module} is not installed\n")
            continue
        print(f"{LIBRARIES[module]} {importlib.metadata.version(LIBRARIES[module])}\n")
        print("| Optimizer | Written for it | Loss | Test accuracy | Resumed, or why it does not run |")
        print("|---|---|---|---|---|", flush=True)
        rows = []
        for row in table(module, usual, options.only):
            print(row, flush=True)
            rows.append(row)
        ran = [row for row in rows if row.ran]
        flawed = [row.name for row in ran if row.flaw is not None]
        exact = sum(row.resumed == EXACT for row in ran)
        print(f"\n{len(ran)} of {len(rows)} run, {exact} resume exactly", end="")
        print(f"; with a flaw: {', '.join(flawed)}\n" if flawed else "\n", flush=True)


if __name__ == "__main__":
    main()
