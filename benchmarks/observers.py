"""What observers cost a run: microseconds for each row that is handed on, and of the processor in their threads.

`handed on` is the time that the training spends to give a row to an observer's thread; `thread` is the processor's time
that the observer spends on a row in its thread, which the training meets only where it needs the same core or Python's
lock; `start` and `end` are the milliseconds of its first and its last call, of the same clock. Rows come every
`--log-every` steps, by default 100, so a step costs a hundredth. Trackers that are not installed are left out.

    MLFLOW_ALLOW_FILE_STORE=true python benchmarks/observers.py [--rows 1000]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

import lossreg
from lossreg.plugins.participants import RUN_HOOKS
from lossreg.training.observing import IsolatedObserver, copied


class Timed:
    """An observer each of whose calls is timed on the clock of its thread."""

    def __init__(self, observer: object) -> None:
        self.seconds: dict[str, list[float]] = {hook: [] for hook in RUN_HOOKS}
        for hook in RUN_HOOKS:
            method = getattr(observer, hook, None)
            if method is not None:
                setattr(self, hook, self._timed(hook, method))

    def _timed(self, hook: str, method: Callable[..., Any]) -> Any:
        def call(run: Any, **arguments: Any) -> None:
            begun = time.thread_time()
            method(run=run, **arguments)
            self.seconds[hook].append(time.thread_time() - begun)

        return {
            "lossreg_run_started": lambda run: call(run),
            "lossreg_run_finished": lambda run, result: call(run, result=result),
            "lossreg_run_failed": lambda run, error: call(run, error=error),
        }.get(hook, lambda run, record: call(run, record=record))


class Nothing:
    """Looks at rows and does nothing."""

    def lossreg_logged(self, run: lossreg.Run, record: Mapping[str, Any]) -> None:
        """Nothing."""


def observed(make: Callable[[], object], rows: int) -> Timed:
    """The observer after a run of so many logged steps."""
    registries = lossreg.load_registries(allow=[])
    timed = Timed(make())
    registries.observers.register("timed", wait=600)(lambda: timed)
    samples = (torch.rand(rows, 4), torch.randint(3, (rows,)))
    data = lossreg.Data(samples, samples, task="classification", in_shape=(4,), num_classes=3)
    with tempfile.TemporaryDirectory() as out:
        lossreg.run(
            data=data, model="mlp", epochs=1, batch_size=1, log_every=1, observe=["timed"], registries=registries,
            out=out, quiet=True, device="cpu", precision="32",
        )  # fmt: skip
    return timed


def handing_on(rows: int) -> float:
    """Median microseconds of the training to hand a row on to a thread."""

    class Run:
        stop_reason = None

    row = {"kind": "step", "epoch": 0, "step": 1, "lr": 0.1, "train_loss": 0.5}
    arguments = {"run": Run(), "record": row}
    isolated = IsolatedObserver("nothing", Nothing(), 60)
    times = []
    for _ in range(rows):
        begun = time.perf_counter()
        isolated.call("lossreg_logged", copied(arguments))
        times.append(time.perf_counter() - begun)
        time.sleep(1e-4)  # as between two rows: the thread waits again
    isolated.close()
    isolated.wait(time.monotonic(), None)
    return statistics.median(times) * 1e6


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"handed on: {handing_on(options.rows):.1f} µs for each row and observer")
    print(f"{'':<14}{'thread, µs / row':>18}{'start, ms':>12}{'end, ms':>10}")
    with tempfile.TemporaryDirectory() as store:
        uri = Path(store, "mlflow").as_uri()
        made: Mapping[str, Callable[[], object]] = {
            "nothing": Nothing,
            "tensorboard": lambda: lossreg.observers.build("tensorboard"),
            "mlflow, files": lambda: lossreg.observers.build("mlflow", tracking_uri=uri),
            "wandb, offline": lambda: lossreg.observers.build("wandb"),
        }
        for name, make in made.items():
            try:
                seconds = observed(make, options.rows).seconds
            except lossreg.LossregError as error:
                print(f"{name:<14}left out: {error}")
                continue
            row = statistics.median(seconds["lossreg_logged"]) * 1e6
            start, end = (sum(seconds[f"lossreg_run_{hook}"]) * 1e3 for hook in ("started", "finished"))
            print(f"{name:<14}{row:>18.0f}{start:>12.1f}{end:>10.1f}")


if __name__ == "__main__":
    main()
