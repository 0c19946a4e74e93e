"""What a check found, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from lossreg.resume_check.jobs import Seen

MAX_SHOWN = 3  # places in a sentence


@attrs.frozen
class ResumeReport:
    """Whether a run that is broken off goes on as the same run.

    Attributes:
        steps: Steps until it was broken off.
        more: Steps after that.
        compared: What was compared -> whether it was equal, bit for bit.
        differences: What differs, and what is to blame for it, a sentence for each.
    """

    steps: int
    more: int
    compared: Mapping[str, bool]
    differences: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "equal": self.equal,
            "steps": self.steps,
            "more": self.more,
            "compared": dict(self.compared),
            "differences": list(self.differences),
        }

    def __str__(self) -> str:
        lines = [f"{self.steps} steps, stopped, {self.more} more in another process; against as many in one piece"]
        width = max(map(len, self.compared), default=0)
        lines += [f"  {what:<{width}}  {'equal' if same else 'differs'}" for what, same in self.compared.items()]
        lines += [f"difference: {sentence}" for sentence in self.differences]
        words = "the resumed run is the same run, bit for bit" if self.equal else "the resumed run is another run"
        return "\n".join([*lines, words])


def unwritable_report(steps: int, more: int, why: str) -> ResumeReport:
    """Of a run whose state cannot be written, for which nothing was trained."""
    return ResumeReport(steps, more, {}, (f"the state of the optimizer cannot be kept in a checkpoint: {why}",))


def compare(whole: Seen, first: Seen, second: Seen, steps: int, more: int) -> ResumeReport:
    """Compares a run in one piece with one in two processes.

    Args:
        whole: The run in one piece.
        first: The one that was broken off, until then,
        second: and from there on.
        steps: Steps until it was broken off.
        more: Steps after that.
    """
    compared = {
        what: whole.final[what] == second.final[what]
        for what in whole.final
        if any(value for place, value in whole.final[what].items() if place)
    }
    compared["rows of metrics.jsonl"] = whole.rows == second.rows
    unlike = next((step for step in range(1, steps + 1) if whole.weights.get(step) != first.weights.get(step)), None)
    if unlike is not None:
        sentence = (
            f"the same steps in two processes are not the same: the weights differ after step {unlike}, before the run "
            f"was broken off, so that resuming is not to blame{_strangers(whole.foreign)}"
        )
        return ResumeReport(steps, more, compared, (sentence,))
    if all(compared.values()):
        return ResumeReport(steps, more, compared)
    found = [
        _differing(what, whole.final[what], second.final[what]) for what in whole.final if not compared.get(what, True)
    ]
    if not compared["rows of metrics.jsonl"]:
        found.append(_differing_rows(whole.rows, second.rows))
    return ResumeReport(steps, more, compared, (*found, *_causes(whole, first, second, steps)))


def _causes(whole: Seen, first: Seen, second: Seen, steps: int) -> list[str]:
    """What is to blame for a difference: what evolved and did not come back, else the parts of strangers."""
    lost = [
        _differing(f"{what} after the resume", before, second.restored[what])
        for what, before in first.state.items()
        if before != second.restored[what]
    ]
    changed = [
        (owner, name)
        for (owner, name), value in first.stopped.items()
        if value != first.began.get((owner, name)) and value != second.began.get((owner, name))
    ]
    of_strangers = [(owner, name) for owner, name in changed if owner in whole.foreign or _is_global(owner)]
    kept = [f"{owner} keeps `{name}` outside of {_its_state(owner)}" for owner, name in of_strangers or changed]
    if lost or kept:
        return [*kept, *lost]
    unlike = next((step for step in sorted(second.weights) if whole.weights.get(step) != second.weights[step]), None)
    if unlike is None:
        return [f"all weights after single steps are equal; what differs is made at the end{_strangers(whole.foreign)}"]
    return [
        f"the weights differ after step {unlike}, {unlike - steps} after the run was broken off, and no attribute "
        f"tells why{_strangers(whole.foreign)}"
    ]


def _is_global(owner: str) -> bool:
    return owner.startswith(("the module", "the class"))


def _its_state(owner: str) -> str:
    return "any state_dict()" if _is_global(owner) else "its state_dict()"


def _strangers(foreign: Sequence[str]) -> str:
    return f"; neither of torch nor of lossreg are {', '.join(foreign)}" if foreign else ""


def _differing(what: str, one: Mapping[str, str], other: Mapping[str, str]) -> str:
    places = [place for place in {**one, **other} if one.get(place) != other.get(place)]
    more = f" and {len(places) - MAX_SHOWN} more" if len(places) > MAX_SHOWN else ""
    verb = "differ" if what.startswith("weights") else "differs"
    return f"the {what} {verb}: {', '.join(places[:MAX_SHOWN])}{more}"


def _differing_rows(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> str:
    if len(one) != len(other):
        return f"metrics.jsonl has {len(other)} rows instead of {len(one)}"
    number = next(number for number, (row, than) in enumerate(zip(one, other, strict=True)) if row != than)
    keys = [key for key in one[number] if one[number][key] != other[number].get(key)]
    row = one[number]
    return f"metrics.jsonl differs from its row of {row.get('kind')} {row.get(str(row.get('kind')))}: {', '.join(keys)}"
