"""timm's schedules as those of lossreg, with the same rates."""

from __future__ import annotations

import attrs

from lossreg.conversion.result import Draft
from lossreg.conversion.timm.args import Args
from lossreg.conversion.timm.cycles import first_epochs, in_order, length_of
from lossreg.errors import ExpressionError
from lossreg.expression import Expression
from lossreg.spec import ComponentSpec
from lossreg.values import shown

#: Metric that train.py is told to follow -> ours.
_METRICS = {"top1": "test_accuracy", "loss": "test_loss"}
_CYCLIC = ("cosine", "poly")
_REPEATED = (*_CYCLIC, "tanh")  # whose cycles make the training longer
_COOLED = (*_REPEATED, "wsd", "rsqrt")
_KNOWN = ("cosine", "step", "multistep", "plateau", "poly", "constant", "none")


@attrs.frozen
class Shape:
    """What timm's schedules have in common; rates are factors of the optimizer's.

    Attributes:
        epochs: Of one cycle.
        warmup: Epochs of warm-up.
        prefix: Whether the schedule begins behind them.
        start: The rate at the beginning of the warm-up.
        least: The rate at the end of a cosine or a power.
        counts: `epoch` or `step`.
        whole: Whether a cycle takes the whole run, so that an expression may call its length `epochs`.
        scaled: Whether groups of parameters have rates of their own, so that a least rate is not one number.
    """

    epochs: int
    warmup: int
    prefix: bool
    start: float
    least: float
    counts: str
    whole: bool
    scaled: bool

    @property
    def plain(self) -> bool:
        """Whether the schedule begins afresh, and may stand by its name."""
        return not self.warmup or self.prefix

    @property
    def time(self) -> str:
        """The time of the schedule itself in an expression."""
        return f"({self.counts} - {self.length(self.warmup)})" if self.warmup and self.prefix else self.counts

    def length(self, epochs: float) -> str:
        """A number of epochs in an expression."""
        return _text(epochs) if self.counts == "epoch" else f"{_text(epochs)} * steps_per_epoch"

    @property
    def cycle(self) -> str:
        """The length of a cycle in an expression, as one factor."""
        epochs = "epochs" if self.whole else _text(self.epochs)
        return epochs if self.counts == "epoch" else f"({epochs} * steps_per_epoch)"


def read_schedule(args: Args, rate: float, draft: Draft) -> None:
    """Sets scheduler, interval and epochs.

    Args:
        args: The arguments.
        rate: The learning rate.
        draft: Where they are set.
    """
    word = str(args["sched"])
    milestones = args.numbers("decay_milestones") if word == "multistep" else []
    if milestones != sorted(milestones):
        draft.note(
            f"decay_milestones={shown(milestones)} are not in order; timm's search among them comes to "
            f"{shown(in_order(milestones))}, which are read"
        )
    on_updates = bool(args["sched_on_updates"]) and word != "none"
    epochs, warmup, prefix = args.whole("epochs", least=1), args.whole("warmup_epochs"), bool(args["warmup_prefix"])
    cycles = args.whole("lr_cycle_limit", least=1) if word in _REPEATED else 1
    cooldown = args.whole("cooldown_epochs") if word in _COOLED else 0
    total = length_of(epochs, cycles, args.number("lr_cycle_mul")) + cooldown + (warmup if prefix else 0)
    draft.set("epochs", total)
    if total != epochs:
        grows = cycles > 1 and args.number("lr_cycle_mul") != 1
        more = {
            "lr_cycle_limit": cycles - 1,
            "lr_cycle_mul": grows,
            "cooldown_epochs": cooldown,
            "warmup_prefix": prefix and warmup,
        }
        said = " and ".join(key for key, value in more.items() if value)
        draft.note(f"epochs is {total}: train.py adds to its {epochs} what {said} ask{'s' * (' ' not in said)} for")
    if word not in _KNOWN:
        draft.leave_out(f"sched={word}: lossreg has no schedule of this shape, so that the rate is constant")
        return
    if args["lr_noise"] is not None:
        draft.leave_out("lr_noise: the rates have no noise")
    if not rate or word == "none" or (word == "constant" and not warmup):
        return
    if word == "step" and not args.number("decay_epochs"):
        draft.leave_out("sched=step: decay_epochs is 0, with which timm ends in an error")
        return
    if word == "plateau" and on_updates:
        draft.leave_out("sched=plateau with sched_on_updates, which timm refuses, too")
        return
    start = args.number("warmup_lr") / rate if warmup else 1.0
    least = args.number("min_lr") / rate if word in (*_CYCLIC, "plateau") else 0.0
    counts = "step" if on_updates else "epoch"
    shape = Shape(epochs, warmup, prefix, start, least, counts, total == epochs, args["layer_decay"] is not None)
    spec = _named(word, args, shape, total, draft) or _formula(word, args, shape, total, draft)
    if spec is not None:
        draft.set("scheduler", spec)
        if on_updates:
            draft.set("scheduler_interval", "step")


def _named(word: str, args: Args, shape: Shape, total: int, draft: Draft) -> ComponentSpec | None:
    """The schedule by its name, behind a warm-up, where one has the same rates."""
    behind = bool(shape.warmup)
    if behind and not (0 < shape.start <= 1 and shape.warmup < total and shape.counts == "epoch"):
        return None
    inner: ComponentSpec | None = None
    if word == "plateau":
        inner = _plateau(args, draft)
    elif word != "constant":
        inner = _by_name(word, args, shape, total, draft) if shape.plain else None
        if inner is None:
            return None
    if not behind:
        return inner
    params = {"length": shape.warmup, "start_factor": _rounded(shape.start)}
    return ComponentSpec("warmup", params, () if inner is None else (inner,))


def _by_name(word: str, args: Args, shape: Shape, total: int, draft: Draft) -> ComponentSpec | None:
    whole = shape.epochs == total - (shape.warmup if shape.prefix else 0)  # without cycles and cooldown
    straight = whole and args.number("lr_k_decay") == 1
    match word:
        case "cosine" if straight and not (shape.scaled and shape.least):
            return ComponentSpec("cosine_annealing_lr", {"eta_min": args.number("min_lr")} if shape.least else {})
        case "poly" if straight and not shape.least:
            return ComponentSpec("polynomial_lr", {"power": args.number("decay_rate")})
        case "step" if shape.counts == "epoch" and args.number("decay_epochs") == int(args.number("decay_epochs")) > 0:
            return ComponentSpec("step_lr", {"step_size": int(args.number("decay_epochs")), "gamma": _gamma(args)})
        case "multistep" if shape.counts == "epoch":
            milestones = _milestones(args, shape)
            if all(one >= 1 and one == int(one) for one in milestones):
                draft.note("decay_milestones: timm comes to each an epoch early, so that they are one less here")
                return ComponentSpec("multi_step_lr", {"milestones": list(map(int, milestones)), "gamma": _gamma(args)})
    return None


def _plateau(args: Args, draft: Draft) -> ComponentSpec:
    followed = str(args["eval_metric"])
    monitor = _METRICS.get(followed)
    if monitor is None:
        monitor = (
            "test_loss" if "loss" in followed else "test_accuracy"
        )  # of which timm takes less, and more, as better
        draft.leave_out(f"eval_metric={followed}: the schedule follows {monitor}")
    draft.note(f"sched=plateau follows {monitor}: what train.py validates on is the test split here")
    least = {"min_lr": args.number("min_lr")} if args.number("min_lr") else {}
    params = {"monitor": monitor, "factor": _gamma(args), "patience": args.whole("patience_epochs"), **least}
    return ComponentSpec("reduce_lr_on_plateau", params)


def _formula(word: str, args: Args, shape: Shape, total: int, draft: Draft) -> ComponentSpec | None:
    """The same rates as an expression."""
    if word == "plateau":
        draft.leave_out("sched=plateau: its warm-up starts at 0 or above lr, which lossreg's does not")
        return None
    grows = word in _CYCLIC and args.number("lr_cycle_mul") != 1 and args.number("lr_cycle_limit") > 1
    growing = _growing(word, args, shape, total) if grows else None
    if grows and growing is None:
        draft.leave_out(
            "lr_cycle_mul: cycles of several lengths are only read by epochs, where they do not get shorter, so that "
            "the rate is constant"
        )
        return None
    text = _body(word, args, shape) if growing is None else growing
    if word in _CYCLIC and not grows:
        end = shape.epochs * args.whole("lr_cycle_limit", least=1) + (shape.warmup if shape.prefix else 0)
        if end < total:  # `epoch` is a whole number where steps are counted, too
            text = f"{text} if epoch < {end} else {_text(shape.least)}"
    if shape.warmup:
        length = shape.length(shape.warmup)
        passed = f"{shape.counts} / {length if shape.counts == 'epoch' else f'({length})'}"
        rise = f"{_text(shape.start)} + {_text(1 - shape.start)} * {passed}".replace("+ -", "- ")
        text = f"{rise} if epoch < {shape.warmup} else {text}"
    try:
        Expression(text)
    except ExpressionError as error:
        draft.leave_out(
            f"sched={word}: its rates are no expression that lossreg takes ({error.message.split(': ')[-1]})"
        )
        return None
    if not shape.plain:
        draft.note(
            f"sched={word}: timm's warm-up takes the place of the first epochs of the schedule, which `warmup` does "
            "not; the expression has the same rates"
        )
    elif word in _CYCLIC:
        draft.note(f"sched={word}: the expression has the rates of timm's cycles, cooldown and least rate")
    return ComponentSpec("lambda_lr", {"lr_lambda": text})


def _body(word: str, args: Args, shape: Shape) -> str:
    """The schedule without warm-up and cooldown."""
    match word:
        case "cosine" | "poly":
            return _cycle(word, args, shape)
        case "step":
            length = shape.length(args.number("decay_epochs"))
            return f"{_text(_gamma(args))} ** ({shape.time} // {length if shape.counts == 'epoch' else f'({length})'})"
        case "multistep":
            if shape.counts == "epoch":
                passed = [f"({shape.time} >= {_text(one)})" for one in _milestones(args, shape)]
            else:
                at = [shape.length(one) for one in in_order(args.numbers("decay_milestones"))]
                passed = [f"({shape.time} + 1 >= {one})" for one in at]
            return f"{_text(_gamma(args))} ** ({' + '.join(passed) or '0'})"
    return "1"


def _cycle(word: str, args: Args, shape: Shape) -> str:
    repeats = args.whole("lr_cycle_limit", least=1) > 1
    length, power = shape.cycle, args.number("lr_k_decay")
    share = f"{shape.time} % {length} / {length}" if repeats else f"{shape.time} / {length}"
    passed = share if power == 1 else f"({share}) ** {_text(power)}"
    if word == "cosine":
        inner = f"pi * {passed}" if power == 1 and not repeats else f"pi * ({passed})"
        curve = f"(1 + cos({inner}))"
        half = 0.5
    else:
        curve, half = f"(1 - {passed if power != 1 else f'({passed})'}) ** {_text(args.number('decay_rate'))}", 1.0
    if repeats:
        top = f"{_text(args.number('lr_cycle_decay'))} ** ({shape.time} // {length})"
        height = f"({top} - {_text(shape.least)})" if shape.least else top
        text = f"{height} * {curve}" if half == 1 else f"{_text(half)} * {height} * {curve}"
    else:
        factor = half * (1 - shape.least)
        text = curve if factor == 1 else f"{_text(factor)} * {curve}"
    return f"{_text(shape.least)} + {text}" if shape.least else text


def _growing(word: str, args: Args, shape: Shape, total: int) -> str | None:
    """Cycles of several lengths, one after another; None where they get shorter or count steps."""
    growth, limit = args.number("lr_cycle_mul"), args.whole("lr_cycle_limit")
    if growth < 1 or shape.counts == "step":
        return None
    offset = shape.warmup if shape.prefix else 0
    cycles = first_epochs(shape.epochs, growth, limit, total - offset)
    if cycles is None:
        return None
    power, least = args.number("lr_k_decay"), shape.least
    text = ""
    for number in reversed(cycles):
        if number == limit:
            part = _text(least)
        else:
            begin = (1 - growth**number) / (1 - growth) * shape.epochs + offset
            share = f"(epoch - {_text(begin)})" if begin else "epoch"
            share = f"{share} / {_text(growth**number * shape.epochs)}"
            share = share if power == 1 else f"(({share}) ** {_text(power)})"
            height = args.number("lr_cycle_decay") ** number - least
            if word == "cosine":
                curve, factor = f"(1 + cos(pi * {share}))", height / 2
            else:
                curve, factor = f"(1 - {share}) ** {_text(args.number('decay_rate'))}", height
            part = f"{_text(factor)} * {curve}"
            part = f"{_text(least)} + {part}" if least else part
        until = min((first for later, first in cycles.items() if later > number), default=None)
        text = part if until is None else f"{part} if epoch < {until + offset} else {text}"
    return text


def _milestones(args: Args, shape: Shape) -> list[float]:
    """Where the rate falls: timm compares with the epoch that follows, and not before the first step is made."""
    first = 1 if not shape.warmup else 0
    return [max(first, one - 1) for one in in_order(args.numbers("decay_milestones"))]


def _gamma(args: Args) -> float:
    return args.number("decay_rate")


def _rounded(number: float) -> float:
    """Without the last digits, which a division of two short numbers leaves."""
    return float(f"{number:.12g}")


def _text(number: float) -> str:
    return f"{number:.12g}"
