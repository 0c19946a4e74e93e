"""`lossreg.compare`: from lists of names to an answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lossreg.comparison.question import Options, question_of
from lossreg.comparison.results import Comparison
from lossreg.comparison.session import run_comparison
from lossreg.comparison.watching import Silence, Table
from lossreg.training.arguments import check_call
from lossreg.training.hardware.launcher import check_main_guard


def compare(
    *,
    seeds: int | None = None,
    pairs: bool = False,
    out: str | Path | None = None,
    jobs: int | None = None,
    devices: Sequence[str] = (),
    target: str | None = None,
    baseline: str | None = None,
    fair: int | None = None,
    ray: str | None = None,
    plots: bool = False,
    quiet: bool = False,
    **choices: Any,
) -> Comparison:
    """Runs all combinations of what is given as a list, each with several seeds, and says what is told apart.

    Args:
        seeds: How many seeds each cell is run with, counted from `seed`; None is 3.
        pairs: Whether lists go together, the first values with the first, instead of in all combinations.
        out: The directory: absent, empty, or that of the same comparison, which goes on; None is a new one,
            `runs/<time>-compare`.
        jobs: How many runs at once; None is what suits the machine.
        devices: CUDA devices over which the runs are spread; empty is all that there are.
        target: What runs are timed to, as `test_accuracy>=0.97`. It ends none.
        baseline: The cell that the others are compared with, by its label or a part of it; None is the best.
        fair: How many learning rates are tried for each cell, around its own; the best on the validation split is the
            cell's. None keeps the cells' own.
        ray: The address of a Ray cluster that does the runs; empty starts one on this machine. None does without.
        plots: Whether `curves.png` is drawn in each run directory, which takes half a second or more of each run.
        quiet: Whether nothing is shown on stderr but warnings.
        choices: Settings of a run, as names, spec texts and plain values; a list is a choice. A parameter is
            `**{"optimizer.lr": [0.1, 0.01]}`. Python objects cannot be handed to other processes.

    Returns:
        The comparison; a run that failed is a row of it, and `is_whole` is false then.

    Raises:
        LossregError: If something is wrong with the arguments or the parts of a cell do not fit; nothing is written
            then.

    Example:
        >>> import lossreg, tempfile
        >>> comparison = lossreg.compare(
        ...     loss=["dice", "cross_entropy"], model="mlp", epochs=1, seeds=2, limit_train=200, quiet=True,
        ...     out=tempfile.mkdtemp(),
        ... )
        >>> sorted(cell.label for cell in comparison.cells), comparison.metric, comparison.is_whole
        (['cross_entropy', 'dice'], 'test_accuracy', True)
    """
    check_main_guard("lossreg.compare")
    check_call(None, out, quiet, plots=plots)
    question = question_of(choices, seeds, pairs=pairs)
    options = Options(jobs, tuple(devices), target, baseline, fair, ray, plots)
    return run_comparison(
        question, options, out=None if out is None else Path(out), watcher=Silence() if quiet else Table()
    )
