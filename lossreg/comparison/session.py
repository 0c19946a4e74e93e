"""A comparison in progress: goes on where a past call stopped, and writes what is found as it comes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from lossreg.comparison.cells import Question
from lossreg.comparison.cluster import Task, connected, do_on_cluster
from lossreg.comparison.directory import ComparisonDirectory, claimed
from lossreg.comparison.fair import Rate, check_fair, choose, trials_of
from lossreg.comparison.gathering import gathered
from lossreg.comparison.jobs import Job, Outcome, Slots, do, own_threads
from lossreg.comparison.planning import Planned, described, find_slots, plan_comparison
from lossreg.comparison.question import Options
from lossreg.comparison.results import (
    Attempt,
    Comparison,
)
from lossreg.comparison.tables import csv_text
from lossreg.comparison.watching import CellRun, Silence, Watcher
from lossreg.comparison.worker import training
from lossreg.errors import ConfigError
from lossreg.spec import ComponentSpec
from lossreg.training.record.reading import read_run
from lossreg.training.record.run_json import NAME as RUN_JSON
from lossreg.validation import Target, read_target
from lossreg.values import shown


def run_comparison(
    question: Question,
    options: Options,
    *,
    out: Path | None = None,
    runs: Path | None = None,
    watcher: Watcher | None = None,
) -> Comparison:
    """Does a comparison, or goes on with one; see `compare`.

    Args:
        question: What is compared.
        options: How.
        out: The directory.
        runs: The folder of directories without a name.
        watcher: Is told how it goes on.
    """
    watcher = watcher or Silence()
    with claimed(out, runs) as directory:
        planned = plan(question, options)
        _check_same(directory, planned, options)
        try:
            return _Work(directory, planned, question, options, watcher).do()
        finally:
            watcher.close()


def plan(question: Question, options: Options) -> Planned:
    """Makes and checks the cells; see `plan_comparison`.

    Raises:
        LossregError: If a cell cannot be run, has no rate to choose, or a device is not there.
    """
    planned = plan_comparison(question, options)
    if options.fair is not None:
        check_fair(planned)
    if options.devices:
        find_slots(len(planned.runs), options, planned)
    return planned


class _Work:
    """A comparison in progress.

    Args:
        directory: Where.
        planned: What.
        question: From what that was made.
        options: How.
        watcher: Is told how it goes on.
    """

    def __init__(
        self,
        directory: ComparisonDirectory,
        planned: Planned,
        question: Question,
        options: Options,
        watcher: Watcher,
    ) -> None:
        self._directory = directory
        self._planned = planned
        self._question = question
        self._options = options
        self._watcher = watcher
        self._target = None if options.target is None else Target.of(read_target(options.target))
        self._started = time.perf_counter()
        self._attempts: dict[str, Attempt] = {}
        self._going_on: set[str] = set()  # names of the runs that were broken off and are taken up
        self._rates: list[Rate] = []
        self._ray: Any = None

    def do(self) -> Comparison:
        """Runs what is not done yet, and gathers what was found."""
        for note in self._planned.notes:
            self._watcher.said(note)
        with contextlib.ExitStack() as stack:
            if self._options.ray is not None:
                self._ray = stack.enter_context(connected(self._options.ray))
            self._run_all()
        comparison = self._gather()
        self._write("finished" if comparison.is_whole else "failed")
        return comparison

    def _run_all(self) -> None:
        """Runs the trials, if rates are to be chosen, and then the cells."""
        if self._options.fair is not None:
            trials = trials_of(self._planned, self._options.fair)
            self._run([trial.run for trial in trials])
            self._planned, self._rates = choose(self._planned, trials, self._attempts)
            for rate in self._rates:
                self._watcher.said(rate.note)
        self._run(self._planned.runs)

    def _run(self, runs: Sequence[CellRun]) -> None:
        """Runs those that are not done yet; trials of several cells may be the same run."""
        runs = list({run.name: run for run in reversed(runs)}.values())[::-1]
        for run in runs:
            self._look(run)
        missing = [run for run in runs if not self._is_done(run)]
        if not missing:
            self._watcher.said(f"all {len(runs)} runs are done already")
            self._write("running")
            return
        # Before anything is written: it may be refused.
        slots = Slots(0, own_threads()) if self._ray else find_slots(len(missing), self._options, self._planned)
        for run in missing:
            attempt = self._attempts.pop(run.name, None)
            if self._goes_on(run, attempt):
                self._going_on.add(run.name)
            else:
                self._directory.clear(run.name)
        self._write("running")
        finished = len(runs) - len(missing)
        skipped = f", {finished} more are done already" if finished else ""
        taken_up = sum(run.name in self._going_on for run in missing)
        skipped += f", {taken_up} from {'its' if taken_up == 1 else 'their'} last checkpoint" if taken_up else ""
        how = "as tasks of Ray" if self._ray else described(slots)
        self._watcher.begun(missing, str(self._directory.path), f"{how}{skipped}")
        try:
            self._train(missing, slots)
        except BaseException:
            for run in missing:
                self._look(run)
            self._write("interrupted")
            raise

    def _goes_on(self, run: CellRun, attempt: Attempt | None) -> bool:
        """Whether a run was broken off, and is taken up where it was: one that failed would fail again.

        A task of Ray trains in a folder of its own, maybe on another machine, and begins anew.
        """
        is_broken_off = attempt is not None and attempt.status in ("running", "lost", "interrupted")
        return is_broken_off and self._ray is None and self._directory.has_checkpoint(run.name)

    def _job(self, run: CellRun) -> Job:
        out = self._directory.path / run.name
        spec, goes_on = run.cell.with_seed(run.seed), run.name in self._going_on
        return Job(run.name, training(spec, out, plots=self._options.plots, goes_on=goes_on))

    def _train(self, missing: Sequence[CellRun], slots: Slots) -> None:
        by_name = {run.name: run for run in missing}
        jobs = [self._job(run) for run in missing]
        said: set[str] = set(self._planned.notes)

        def told(job: Job, kind: str, value: Any) -> None:
            run = by_name[job.name]
            if kind == "started":
                self._watcher.started(run)
            elif kind == "row":
                self._watcher.epoch(run, value)
            elif kind == "warning" and value not in said:
                said.add(value)
                self._watcher.said(f"warning: {value}")
            elif kind == "ended":
                self._end(run, value)

        if self._ray is None:
            do(jobs, slots, told)
            return
        tasks = [
            Task(run.name, run.cell.with_seed(run.seed), self._directory.path / run.name, self._options.plots)
            for run in missing
        ]
        do_on_cluster(self._ray, tasks, threads=slots.threads, on_gpu=self._needs_gpu(), told=told)

    def _needs_gpu(self) -> bool:
        """Whether the runs are on CUDA, as far as the cluster has any."""
        requests = {cell.spec.device.partition(":")[0] for cell in self._planned.cells}
        return "cuda" in requests or ("auto" in requests and self._ray.cluster_resources().get("GPU", 0) > 0)

    def _end(self, run: CellRun, outcome: Outcome) -> None:
        self._look(run)
        attempt = self._attempts.get(run.name)
        if outcome.error is not None and (attempt is None or not attempt.is_done):
            status = "failed" if attempt is None or attempt.status in ("running", "lost") else attempt.status
            reason = outcome.error.message.partition("\n")[0]
            self._attempts[run.name] = attrs.evolve(
                attempt or Attempt(run.seed, run.name, status), status=status, reason=reason
            )
        self._watcher.ended(run, self._attempts.get(run.name) or Attempt(run.seed, run.name, "missing"))
        self._write("running")

    def _look(self, run: CellRun) -> None:
        """Reads what a run has left."""
        place = self._directory.path / run.name
        if (place / RUN_JSON).exists():
            try:
                past = read_run(place)
            except ConfigError as error:
                raise ConfigError(f"{error.message}; remove {place} to have it run again") from error
            self._attempts[run.name] = Attempt.of(past, run.seed, self._target)

    def _is_done(self, run: CellRun) -> bool:
        attempt = self._attempts.get(run.name)
        return attempt is not None and attempt.is_done

    def _gather(self) -> Comparison:
        return gathered(
            self._directory.path,
            self._planned,
            self._attempts,
            self._target,
            notes=[rate.note for rate in self._rates],
            seconds=time.perf_counter() - self._started,
        )

    def _write(self, status: str) -> None:
        comparison = self._gather()
        question = {
            "choices": {choice.key: [_plain(value) for value in choice.values] for choice in self._question.choices},
            "pairs": self._question.pairs,
            "seeds": list(self._planned.seeds),
            "baseline": self._options.baseline,
            "fair": self._options.fair,
        }
        rates = [attrs.asdict(rate) for rate in self._rates]
        self._directory.write({"status": status, "question": question, **comparison.to_json(), "rates": rates})
        if status != "running":
            self._directory.write_table(csv_text(comparison))


def _plain(value: Any) -> Any:
    return value.text if isinstance(value, ComponentSpec) else dict(value) if isinstance(value, Mapping) else value


def _check_same(directory: ComparisonDirectory, planned: Planned, options: Options) -> None:
    """Checks that a directory that has a comparison has this one, or a part of it.

    Raises:
        ConfigError: That names what this one lacks.
    """
    if directory.past is None:
        return
    names = {cell.name for cell in planned.cells}
    labels = [
        str(cell.get("label")) for cell in directory.past["cells"] if str(cell.get("asked", cell["name"])) not in names
    ]
    if labels:
        raise ConfigError(
            f"{directory.path} is another comparison: it has cells that this one has not ({'; '.join(labels[:5])}). "
            "Repeat its choices and settings too, or name another --out directory"
        )
    question = directory.past.get("question")
    fair = question.get("fair") if isinstance(question, dict) else None
    if fair != options.fair:
        then = "without --fair" if fair is None else f"with --fair {shown(fair)}"
        raise ConfigError(f"{directory.path} was run {then}: do so again, or name another --out directory")
    seeds = question.get("seeds") if isinstance(question, dict) else None
    lacking = [seed for seed in seeds if seed not in planned.seeds] if isinstance(seeds, list) else []
    if lacking:
        raise ConfigError(
            f"{directory.path} was run with seeds that this comparison has not ({', '.join(map(str, lacking))}): "
            "give at least as many (--seeds), or name another --out directory"
        )
