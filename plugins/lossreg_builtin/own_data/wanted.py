"""What is wanted of a table, and what of that does not depend on the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import attrs

from lossreg.errors import DataError
from lossreg.values import one_line, shown
from lossreg_builtin.own_data.splitting import check_share, check_unused
from lossreg_builtin.own_data.targets import Task, check_task

Missing = Literal["error", "drop", "mean"]


@attrs.frozen
class Wanted:
    """What is wanted of a table; see `load_csv`."""

    target: str | Sequence[str]
    features: Sequence[str] | None
    categorical: Sequence[str]
    numeric: Sequence[str]
    task: Task | None
    missing: Missing
    test: float
    test_path: Path | None
    seed: int

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that are predicted."""
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)

    @property
    def is_multilabel(self) -> bool:
        """Whether each of several columns is a class that a row has or has not."""
        return not isinstance(self.target, str)

    def check(self) -> None:
        """Checks what does not depend on the table.

        Raises:
            DataError: If a value is out of range, or has no effect.
        """
        check_task(self.task, "multilabel")
        self._check_targets()
        check_share(self.test, self.seed)
        if self.test_path:
            check_unused(self.test, self.seed, f"those of test_path, {one_line(str(self.test_path))}")
        if self.missing not in ("error", "drop", "mean"):
            raise DataError(f"missing={shown(self.missing)} is not one of error, drop and mean")

    def _check_targets(self) -> None:
        """Checks that a list of targets and the task say the same."""
        names = list(self.targets)
        written = f"target={shown(names)}"
        if not self.is_multilabel:
            if self.task == "multilabel":
                raise DataError(
                    f"target={shown(self.target)} is one column; a multilabel classification has a column of 0 and 1 "
                    "for each class: write target=['a', 'b'], or leave task out"
                )
            return
        if not names:
            raise DataError(f"{written} names no column; write target='a'")
        twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
        if twice is not None:
            raise DataError(f"{written} names the column {shown(twice)} twice")
        if len(names) == 1:
            raise DataError(
                f"{written} is one column, and a multilabel classification has several; write "
                f"target={shown(names[0])}, of which 0 and 1 are two classes"
            )
        if self.task not in (None, "multilabel"):
            raise DataError(
                f"{written} are several columns, of a multilabel classification, and task={shown(self.task)} has one; "
                "leave task out, or name one column"
            )
