"""A scheduler of MMEngine: what it makes of the rate between its begin and its end.

MMEngine's schedulers each multiply what they find, from `begin` to before `end`, and leave the rate alone elsewhere.
They count epochs, iterations, or iterations of which `convert_to_iter_based` makes so many of each epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from lossreg.spec import ComponentSpec

#: What MMEngine's defaults are.
FACTOR, GAMMA = 1.0 / 3, 0.1


@attrs.frozen
class Amount:
    """A number of epochs or of iterations, of which a part may be counted in epochs.

    Attributes:
        fixed: The number.
        whole: In addition, the iterations of so many whole epochs.
        parts: In addition, those of so many epochs with a fraction, each of which is rounded down by itself.
    """

    fixed: float
    whole: float = 0
    parts: tuple[float, ...] = ()

    @classmethod
    def of_epochs(cls, epochs: float) -> Amount:
        """The iterations of so many epochs."""
        return cls(0, epochs) if epochs == int(epochs) else cls(0, 0, (epochs,))

    @property
    def epochs(self) -> float:
        """How many epochs it is, beside the fixed number."""
        return self.whole + sum(self.parts)

    def __add__(self, other: Amount) -> Amount:
        parts = list(self.parts)
        for one in other.parts:
            if -one in parts:
                parts.remove(-one)
            else:
                parts.append(one)
        return Amount(self.fixed + other.fixed, self.whole + other.whole, tuple(parts))

    def __neg__(self) -> Amount:
        return Amount(-self.fixed, -self.whole, tuple(-one for one in self.parts))

    def less(self, number: int) -> Amount:
        """The same without some."""
        return attrs.evolve(self, fixed=self.fixed - number)

    def surely_at_most(self, other: Amount) -> bool:
        """Whether it is, however many iterations an epoch has."""
        return self.epochs <= other.epochs and self.fixed <= other.fixed

    def text(self, accumulate: int) -> str:
        """It in an expression, of which `steps_per_epoch` are steps, each of `accumulate` iterations."""

        def of_steps(epochs: float) -> str:
            times = abs(epochs) * accumulate
            return "steps_per_epoch" if times == 1 else f"{number(times)}*steps_per_epoch"

        terms = [(self.whole, of_steps(self.whole))] if self.whole else []
        terms += [(one, f"floor({of_steps(one)})") for one in sorted(self.parts, reverse=True)]
        if self.fixed or not terms:
            terms.append((self.fixed, number(abs(self.fixed))))
        signs = [" - " if value < 0 else " + " for value, _ in terms]
        text = "".join(sign + term for sign, (_, term) in zip(signs, terms, strict=True)).strip().removeprefix("+ ")
        return f"({text})" if len(terms) > 1 or text.startswith("-") else text


def number(value: float) -> str:
    """A number in an expression: 5 for 5.0.

    Example:
        >>> number(5.0), number(0.1)
        ('5', '0.1')
    """
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(f"{value:.15g}"))


def _divisor(text: str) -> str:
    """A number that something is divided by: a product needs parentheses."""
    return f"({text})" if "*" in text and not text.startswith("(") else text


def _factor(value: float) -> str:
    """A number that something is multiplied by or added to: thirds, which are MMEngine's default, as such."""
    thirds = [text for text, third in (("1/3", 1 / 3), ("2/3", 2 / 3)) if abs(value - third) < 1e-15]
    return thirds[0] if thirds else number(value)


@attrs.frozen
class Window:
    """A scheduler.

    Attributes:
        path: Where it stands.
        kind: `linear`, `constant`, `cosine`, `step`, `multi_step`, `exponential`, `poly`, `one_cycle` or `plateau`.
        counts: `epoch` or `iteration`.
        begin: Where it begins.
        end: Before which it ends.
        to_the_end: Whether that is the end of the run, or later.
        params: The numbers of its kind, by lossreg's names; of a cosine `floor` is `eta_min` by the base rate.
    """

    path: str
    kind: str
    counts: str
    begin: Amount
    end: Amount
    to_the_end: bool
    params: Mapping[str, Any]

    @property
    def last(self) -> Amount:
        """How many epochs or iterations after its begin its last change is."""
        return (self.end + -self.begin).less(1)

    @property
    def is_fixed(self) -> bool:
        """Whether its numbers are of what it counts alone."""
        amounts = [self.begin, *(value for value in self.params.values() if isinstance(value, Amount))]
        amounts += self.params.get("milestones", ())
        if self.kind in ("linear", "constant", "poly") or not self.to_the_end:
            amounts.append(self.end)
        return not any(one.whole or one.parts for one in amounts)

    @property
    def changes_nothing(self) -> bool:
        """Whether it multiplies by 1 throughout."""
        if self.kind == "multi_step" and self.milestones == ():
            return True
        factors = {"linear": ("start_factor", "end_factor"), "constant": ("factor",)}.get(self.kind, ())
        return bool(factors) and all(self.params[key] == 1 for key in factors)

    @property
    def milestones(self) -> tuple[Amount, ...] | None:
        """Those that come before its end; None if that depends on the data."""
        own = []
        for one in self.params["milestones"]:
            whole_epoch_left = one.fixed == 0 and self.last.fixed == -1 and one.epochs <= self.last.epochs - 1
            if self.to_the_end or one.surely_at_most(self.last) or whole_epoch_left:
                own.append(one)
            elif not self.last.less(-1).surely_at_most(one):
                return None
        return tuple(own)

    @property
    def comes_back(self) -> bool:
        """Whether the rate at its end is the one at its begin."""
        return self.kind == "constant" or (self.kind == "linear" and self.params["end_factor"] == 1)

    @property
    def floor(self) -> float:
        """The lowest rate, by the base rate."""
        return float(self.params.get("floor", 0.0))

    def spec(self) -> ComponentSpec | None:
        """The component that does the same from its begin on; None if there is none."""
        given, last = dict(self.params), self.last.fixed
        match self.kind:
            case "linear" if last >= 1 and given["start_factor"] > 0:
                return ComponentSpec("linear_lr", {**given, "total_iters": int(last)})
            case "constant" if last >= 1:
                return ComponentSpec("constant_lr", {**given, "total_iters": int(last)})
            case "poly" if last >= 1 and not self.floor:
                return ComponentSpec("polynomial_lr", {"power": given["power"], "total_iters": int(last)})
            case "cosine" if self.to_the_end and "eta_min" in given:
                span = given["T_max"].fixed
                return ComponentSpec("cosine_annealing_lr", {"T_max": int(span), "eta_min": given["eta_min"]})
            case "step" if self.to_the_end:
                size = int(given["step_size"].fixed)
                return ComponentSpec("step_lr", {"step_size": size, "gamma": given["gamma"]})
            case "exponential" if self.to_the_end:
                return ComponentSpec("exponential_lr", given)
            case "multi_step":
                own = [int(one.fixed) for one in self.milestones or ()]
                if own and min(own) >= 1:
                    return ComponentSpec("multi_step_lr", {"milestones": sorted(own), "gamma": given["gamma"]})
            case "one_cycle" | "plateau" if self.to_the_end:
                return ComponentSpec({"one_cycle": "one_cycle_lr"}.get(self.kind, "reduce_lr_on_plateau"), given)
        return None

    def expression(self, clock: str, accumulate: int) -> str | None:
        """What the rate is multiplied by, as an expression of lossreg; None if there is none.

        Args:
            clock: What counts in it: `epoch`, `step`, or steps as iterations.
            accumulate: Iterations of a step.
        """
        if self.kind in ("linear", "constant", "poly") and self.last == Amount(0):
            return None  # of one epoch or iteration, whose rate MMEngine keeps
        begin, last = self.begin.text(accumulate), self.last.text(accumulate)
        later = self.begin != Amount(0)
        bare = f"{clock} - {begin}" if later else clock
        since = f"({bare})" if later else clock
        held = since if self.to_the_end else f"min({bare}, {last})"
        if later and self.kind in ("cosine", "step", "exponential", "poly"):
            held = f"max(0, {bare if self.to_the_end else held})"
        match self.kind:
            case "linear":
                start, rise = self.params["start_factor"], self.params["end_factor"] - self.params["start_factor"]
                slope = "" if rise == 1 else f"{_factor(abs(rise))}*"
                text = f"{_factor(start)} {'-' if rise < 0 else '+'} {slope}min(1, {since}/{_divisor(last)})"
                return f"(({text}) if {clock} >= {begin} else 1)" if later else f"({text})"
            case "constant":
                inside = f"{begin} <= {clock} < {self.end.less(1).text(accumulate)}" if later else f"{clock} < {last}"
                return f"({number(self.params['factor'])} if {inside} else 1)"
            case "poly":
                part = f"(1 - min(1, {held}/{_divisor(last)}))"
                power = self.params["power"]
                return _above(self.floor, part if power == 1 else f"{part}**{number(power)}")
            case "cosine":
                half = f"cos(pi*{held}/{_divisor(self.params['T_max'].text(accumulate))})"
                return f"({number((1 + self.floor) / 2)} + {number((1 - self.floor) / 2)}*{half})"
            case "step":
                return (
                    f"{number(self.params['gamma'])}**({held}//{_divisor(self.params['step_size'].text(accumulate))})"
                )
            case "exponential":
                return f"{number(self.params['gamma'])}**{held}"
            case "multi_step":
                counted = [f"({clock} >= {(self.begin + one).text(accumulate)})" for one in self.milestones or ()]
                return f"{number(self.params['gamma'])}**({' + '.join(counted)})" if counted else None
        return None


def _above(floor: float, part: str) -> str:
    """A part that falls from 1 to 0, falling to the floor instead."""
    return part if floor == 0 else f"({number(floor)} + {number(1 - floor)}*{part})"
