"""Observers in the setting `observe`: what they see, and that nothing they do harms a run."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

import lossreg
from lossreg.plugins.participants import RUN_HOOKS

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run, Weights

Events = list[tuple[str, Any]]
RunWith = Callable[..., lossreg.RunResult]


class Seer:
    """Keeps what it sees, and can be told to raise."""

    events: Events  # of a subclass for each test

    def __init__(self, fail: str = "", epochs: int = 0) -> None:
        self.fail = fail
        self.epochs = epochs

    def see(self, hook: str, what: Any) -> None:
        """Keeps an event, and raises if it is the one to fail in."""
        self.events.append((hook, what))
        if hook == self.fail:
            raise ValueError("my tracker is broken")

    def lossreg_run_started(self, run: lossreg.Run) -> None:
        """The run directory, and whether it holds a record."""
        self.see("started", (run.directory / "run.json").is_file())

    def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """A row, which it then spoils."""
        self.see("logged", dict(record))
        record.clear()

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """A row, which it then spoils."""
        self.see("epoch", dict(record))
        record.clear()

    def lossreg_run_finished(self, run: lossreg.Run, result: lossreg.RunResult) -> None:
        """The status in the record."""
        self.see("finished", json.loads((run.directory / "run.json").read_text())["status"])

    def lossreg_run_failed(self, run: lossreg.Run, error: BaseException) -> None:
        """The error."""
        self.see("failed", error)


@pytest.fixture
def seer() -> type[Seer]:
    """A class of observers that all keep their events in one list."""
    return type("Seer", (Seer,), {"events": []})


@pytest.fixture
def registries(seer: type[Seer]) -> lossreg.Registries:
    """The built-ins, the observer `seer`, and `watcher`, the same called by the training."""
    made = lossreg.load_registries(allow=[])
    made.observers.register("seer", runtime_args={"epochs": "epochs"})(seer)
    made.observers.register("watcher", blocking=True)(seer)
    return made


@pytest.fixture
def run_with(run_table: Run, registries: lossreg.Registries) -> RunWith:
    """A run of one epoch, each step of which is logged."""
    return lambda **arguments: run_table(**{"registries": registries, "log_every": 1, "batch_size": 16, **arguments})


def names(seer: type[Seer]) -> list[str]:
    """The events by name."""
    return [name for name, _ in seer.events]


def record_of(result: lossreg.RunResult) -> dict[str, Any]:
    """The run record."""
    content: dict[str, Any] = json.loads((result.directory / "run.json").read_text())
    return content


ALL = ["started", "logged", "logged", "logged", "logged", "epoch", "finished"]  # of an epoch of four steps


@pytest.mark.parametrize("name", ["seer", "watcher"])
def test_an_observer_sees_everything_in_order(run_with: RunWith, seer: type[Seer], name: str) -> None:
    """Started with the directory, rows as metrics.jsonl has them, and the end when the record is complete."""
    result = run_with(observe=[name])
    rows = [json.loads(line) for line in (result.directory / "metrics.jsonl").read_text().splitlines()]
    assert names(seer) == ALL
    assert [what for name, what in seer.events if name in ("logged", "epoch")] == rows
    assert (seer.events[0][1], seer.events[-1][1]) == (True, "finished")


@pytest.mark.parametrize(("name", "is_main"), [("seer", False), ("watcher", True)])
def test_an_observer_has_a_thread_of_its_own_unless_it_blocks(
    run_with: RunWith, seer: type[Seer], monkeypatch: pytest.MonkeyPatch, name: str, is_main: bool
) -> None:
    """Methods are called by one thread, which is that of the training only for `blocking=True`."""
    threads: list[threading.Thread] = []
    monkeypatch.setattr(seer, "see", lambda *_: threads.append(threading.current_thread()))
    run_with(observe=[name])
    assert len(threads) == len(ALL)
    assert {thread is threading.main_thread() for thread in threads} == {is_main}
    assert len(set(threads)) == 1


@pytest.mark.parametrize("name", ["seer", "watcher"])
@pytest.mark.parametrize("hook", ["started", "logged", "epoch", "finished"])
def test_a_failing_observer_is_one_warning(
    run_with: RunWith, seer: type[Seer], caplog: pytest.LogCaptureFixture, name: str, hook: str
) -> None:
    """After its first error an observer is not called again, and the run ends well."""
    with caplog.at_level(logging.WARNING):
        result = run_with(observe=[f"{name}(fail='{hook}')"])
    full = {"started": "run_started", "epoch": "epoch_finished", "finished": "run_finished"}.get(hook, hook)
    assert caplog.messages == [
        f"the observer local.{name} failed in lossreg_{full} and is left out of this run: "
        "ValueError: my tracker is broken"
    ]
    assert names(seer) == ALL[: ALL.index(hook) + 1]
    assert record_of(result)["status"] == "finished"


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), KeyboardInterrupt(), MemoryError()], ids=repr)
def test_whatever_an_observer_raises_is_a_warning(
    run_with: RunWith,
    seer: type[Seer],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    """Not even an error that is no Exception comes out of an observer's thread."""

    def fail(self: Seer, hook: str, what: Any) -> None:
        raise error

    monkeypatch.setattr(seer, "see", fail)
    assert len(run_with(observe=["seer"]).metrics) == 1
    (line,) = caplog.messages
    assert type(error).__name__ in line


def test_ctrl_c_in_an_observer_that_blocks_ends_the_run(
    run_with: RunWith, seer: type[Seer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the training waits for an observer is not the observer's fault."""

    def interrupted(self: Seer, hook: str, what: Any) -> None:
        if hook == "epoch":
            raise KeyboardInterrupt

    monkeypatch.setattr(seer, "see", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_with(observe=["watcher"])


def test_observers_do_not_answer_for_each_other(run_with: RunWith, seer: type[Seer]) -> None:
    """Of three observers the one that fails is left out alone."""
    run_with(observe=["seer(fail='started')", "seer", "watcher"])
    assert sorted(names(seer)) == sorted(["started", *ALL, *ALL])


def test_strict_is_not_about_observers(run_table: Run, seer: type[Seer], caplog: pytest.LogCaptureFixture) -> None:
    """Where faults of plugins are errors, an observer that fails in a run is still a warning."""
    strict = lossreg.load_registries(allow=[], strict=True)
    strict.observers.register("seer")(seer)
    assert len(run_table(registries=strict, observe=["seer(fail='epoch')"]).metrics) == 1
    assert len(caplog.messages) == 1


class Stuck:
    """Does not come back from its server until it is let go."""

    let_go: threading.Event
    calls: list[str]

    def lossreg_run_started(self, run: lossreg.Run) -> None:
        """Hangs."""
        self.calls.append("started")
        self.let_go.wait()

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Is never called."""
        self.calls.append("epoch")


@pytest.fixture
def stuck() -> Iterator[type[Stuck]]:
    """A class of observers that hang until the end of the test."""
    let_go = threading.Event()
    yield type("Stuck", (Stuck,), {"let_go": let_go, "calls": []})
    let_go.set()


def test_an_observer_that_hangs_holds_up_nothing(
    run_with: RunWith,
    registries: lossreg.Registries,
    seer: type[Seer],
    stuck: type[Stuck],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The run trains, is recorded and returns after `wait` seconds, with a warning; other observers see it all."""
    registries.observers.register("stuck", wait=0.2)(stuck)
    result = run_with(observe=["stuck", "seer"])
    assert record_of(result)["status"] == "finished"
    assert names(seer) == ALL
    assert caplog.messages == [
        "the observer local.stuck is not done 0.2 s after the end of the run; what it still has to do is left out"
    ]
    (thread,) = [one for one in threading.enumerate() if one.name == "lossreg: local.stuck"]
    assert thread.daemon  # it does not keep the program from ending
    stuck.let_go.set()
    thread.join()
    assert stuck.calls == ["started"]


def test_those_behind_one_that_hangs_end_meanwhile(
    run_with: RunWith,
    registries: lossreg.Registries,
    seer: type[Seer],
    stuck: type[Stuck],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All observers end side by side: one that uses up its time takes none from the next."""
    registries.observers.register("stuck", wait=2)(stuck)
    registries.observers.register("next", wait=2)(seer)
    run_with(observe=["stuck", "next"])
    assert names(seer) == ALL
    (line,) = caplog.messages
    assert line.startswith("the observer local.stuck is not done 2 s after the end")


def test_the_end_waits_for_an_observer_that_is_behind(
    run_with: RunWith, registries: lossreg.Registries, seer: type[Seer]
) -> None:
    """What is done within `wait` seconds after the end of the run is done when `run` returns."""
    gate = threading.Event()

    class Late(seer):  # type: ignore[valid-type, misc]  # a class of the fixture
        def lossreg_run_started(self, run: lossreg.Run) -> None:
            gate.wait(60)
            super().lossreg_run_started(run)

    class Opener:
        def lossreg_run_finished(self, run: lossreg.Run, result: lossreg.RunResult) -> None:
            gate.set()

    registries.observers.register("late", wait=60)(Late)
    run_with(observe=["late"], observers=[Opener()])
    assert names(seer) == ALL


def test_observers_do_not_change_the_weights(run_with: RunWith, weights: Weights, tmp_path: Path) -> None:
    """A run with observers has the weights of one without, bit for bit."""
    observers = ["seer", "watcher", "seer(fail='epoch')"]
    alone = run_with(model="mlp", out=tmp_path / "alone")
    seen = run_with(model="mlp", out=tmp_path / "seen", observe=observers)
    assert torch.equal(weights(alone.model), weights(seen.model))


@pytest.mark.parametrize("error", [ValueError("the loss is odd"), KeyboardInterrupt()], ids=repr)
def test_an_observer_is_told_of_a_run_that_fails(run_with: RunWith, seer: type[Seer], error: BaseException) -> None:
    """A run that an error or a signal ends gives its error to the observers, and raises it."""

    class Fails:
        def lossreg_epoch_finished(self, run: lossreg.Run, record: Mapping[str, Any]) -> None:
            raise error

    with pytest.raises(type(error)):
        run_with(observe=["seer"], observers=[Fails()])
    assert names(seer)[-1] == "failed"
    assert seer.events[-1][1] is error


def test_an_observer_is_not_told_of_the_failure_of_what_it_has_not_seen_begin(
    run_with: RunWith, seer: type[Seer], caplog: pytest.LogCaptureFixture
) -> None:
    """A run that fails before its observers are told that it starts tells them nothing."""

    class Fails:
        def lossreg_run_started(self, run: lossreg.Run) -> None:
            raise ValueError("not today")

    with pytest.raises(ValueError, match="not today"):
        run_with(observe=["seer", "watcher"], observers=[Fails()])
    assert (seer.events, caplog.messages) == ([], [])


class Stops:
    """Ends a run."""

    asked: threading.Event

    def lossreg_epoch_finished(self, run: lossreg.Run, record: Mapping[str, Any]) -> None:
        """Asks for the end in the second epoch."""
        if record["epoch"] == 1:
            run.request_stop("two are enough")
            self.asked.set()


@pytest.mark.parametrize("blocking", [True, False])
def test_an_observer_can_stop_a_run(run_with: RunWith, registries: lossreg.Registries, blocking: bool) -> None:
    """A stop is recorded with the observer's full id; the run can be repeated, since the spec names the observer."""
    asked = threading.Event()

    class Waits:  # for the thread of the other one
        def lossreg_epoch_finished(self, run: lossreg.Run, record: Mapping[str, Any]) -> None:
            if not blocking and record["epoch"] == 2:
                asked.wait(60)

    registries.observers.register("stops", blocking=blocking)(type("Stops", (Stops,), {"asked": asked}))
    result = run_with(model="mlp", epochs=9, observe=["stops"], observers=[Waits()])
    assert result.reason == "two are enough"
    assert len(result.metrics) in ((2,) if blocking else (2, 3))
    assert record_of(result)["stopped_by"] == "local.stops"


def test_the_record_names_observers_in_full(run_with: RunWith) -> None:
    """run.json has the texts with full ids in `spec`, and all parameters in `components`."""
    record = record_of(run_with(observe="seer(fail='nowhere')", epochs=2))
    assert record["spec"]["observe"] == ["local.seer(fail='nowhere')"]
    facts = record["components"]["observer.1"]
    assert (facts["id"], facts["params"]) == ("local.seer", {"fail": "nowhere", "epochs": 2})


def test_a_plan_names_observers_and_calls_none(
    registries: lossreg.Registries, seer: type[Seer], table: Callable[..., lossreg.Data]
) -> None:
    """`plan` builds the observers, shows them with all parameters, and tells them nothing."""
    plan = lossreg.plan(
        data=table(), model=torch.nn.Linear(4, 3), registries=registries, observe=["seer", "watcher"], epochs=7
    )
    assert plan.components["observer.1"]["params"] == {"fail": "", "epochs": 7}
    lines = [line for line in str(plan).splitlines() if line.startswith("observe ")]
    assert [line.split()[1].partition("(")[0] for line in lines] == ["local.seer", "local.watcher"]
    assert plan.to_json()["spec"]["observe"] == ["local.seer", "local.watcher"]
    assert seer.events == []


@pytest.mark.parametrize("function", ["run", "plan"])
@pytest.mark.parametrize(
    ("observe", "error", "said"),
    [
        (["serr"], lossreg.UnknownNameError, "no observer named 'serr'. Did you mean 'seer'?"),
        (["seer(fial='x')"], lossreg.UnknownParameterError, "seer has no parameter 'fial'. Did you mean 'fail'?"),
        (["seer(epochs='x')"], lossreg.ParameterError, "epochs"),
        (["seer", "local.seer"], lossreg.ConfigError, "observe: seer is given twice"),
        (["seer", "seer"], lossreg.ConfigError, "observe: seer is given twice"),
        (["blind"], lossreg.ConfigError, "the observer local.blind has no method named like a run hook"),
        (["misspelt"], lossreg.ConfigError, "the observer local.misspelt has lossreg_epoch_done, which is not"),
        (["breaks"], lossreg.BuildError, "breaks() cannot be built: OSError: no disk"),
        ([5], lossreg.ConfigError, "the observer builtins.int has no method named like a run hook"),
        (5, lossreg.ConfigError, "observe is a list of spec texts such as 'name(key=value)', not 5"),
        (
            {"seer": 1},
            lossreg.ConfigError,
            "observe is a list of spec texts such as 'name(key=value)', not {'seer': 1}",
        ),
    ],
)
def test_a_wrong_observer_is_found_before_the_run(
    registries: lossreg.Registries,
    seer: type[Seer],
    tmp_path: Path,
    function: str,
    observe: Any,
    error: type[Exception],
    said: str,
) -> None:
    """A wrong name or parameter, or an observer that cannot be built, is an error with nothing left behind."""

    def breaks() -> None:
        raise OSError("no disk")

    registries.observers.register("breaks")(breaks)
    registries.observers.register("blind")(object)
    registries.observers.register("misspelt")(type("Misspelt", (Seer,), {"lossreg_epoch_done": None}))
    out = {"out": tmp_path / "out"} if function == "run" else {}
    with pytest.raises(error) as caught:
        getattr(lossreg, function)(registries=registries, observe=observe, **out)
    assert str(caught.value).startswith(said) or said in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert seer.events == []


def test_an_observer_is_not_called_where_the_directory_is_taken(
    run_with: RunWith, seer: type[Seer], tmp_path: Path
) -> None:
    """A run directory that is not empty ends the run before an observer hears of it."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(lossreg.RunDirectoryError):
        run_with(observe=["seer", "watcher"])
    assert seer.events == []


def test_objects_observe_too(run_with: RunWith, seer: type[Seer], caplog: pytest.LogCaptureFixture) -> None:
    """An object beside names costs a warning if it fails; the record has its class, and the run stays repeatable."""
    result = run_with(model="mlp", observe=["seer", seer(fail="epoch")])
    assert sorted(names(seer)) == sorted([*ALL, *ALL[:-1]])
    (line,) = caplog.messages
    assert line.startswith(f"the observer {__name__}.Seer failed in lossreg_epoch_finished")
    record = record_of(result)
    assert (record["spec"]["observe"], record["observers"]) == (["local.seer"], [f"{__name__}.Seer"])


@pytest.mark.parametrize("observe", [None, [], (), "none", ["none"]])
def test_no_observer_is_the_default(run_with: RunWith, observe: Any) -> None:
    """None, an empty list and the word `none` are no observer."""
    result = run_with(observe=observe)
    assert (result.spec.observe, record_of(result)["spec"]["observe"]) == ((), [])


def test_the_settings_of_a_run_are_flat(run_with: RunWith, seer: type[Seer]) -> None:
    """`run.settings` has the settings, and the parameters of the components under their field."""
    seen: dict[str, Any] = {}

    class Reads:
        def lossreg_run_started(self, run: lossreg.Run) -> None:
            seen.update(run.settings)

    run_with(observe=["seer", Reads()], optimizer="sgd(lr=0.25)", seed=3)
    assert (seen["seed"], seen["optimizer"], seen["optimizer.lr"]) == (3, "builtin.sgd(lr=0.25)", 0.25)
    assert seen["model"] == "torch.nn.modules.linear.Linear"
    assert json.loads(json.dumps(seen)) == seen
    assert not [name for name in seen if name.startswith("observe")]


def test_every_run_hook_can_be_observed() -> None:
    """The observer of these tests has each run hook, so that none is untested."""
    assert sorted(RUN_HOOKS) == sorted(name for name in dir(Seer) if name.startswith("lossreg_"))
