"""Options that `run` and `plan` share, dotted parameters among them, and their way into settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import click
from click.shell_completion import CompletionItem

from lossreg.cli.config import load_config
from lossreg.errors import ConfigError, LossregError
from lossreg.names import normalize
from lossreg.run_spec import COMPONENT_FIELDS, RUN_KEYS, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.suggestions import close_matches, did_you_mean

#: Flag -> field of the run's spec.
FLAGS: Mapping[str, str] = {
    "loss": "loss",
    "opt": "optimizer",
    "optimizer": "optimizer",
    "sched": "scheduler",
    "scheduler": "scheduler",
    "model": "model",
    "data": "data",
    "dataset": "data",
}

_DOTTED = re.compile(r"--([A-Za-z][\w-]*)\.([^=]+)(?:=(.*))?", re.ASCII | re.DOTALL)
_META = "lossreg.edits"

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen
class Edit:
    """A dotted flag: `--opt.lr 0.1`.

    Attributes:
        flag: As written, without the value.
        field: The component's field.
        parameter: The parameter.
        text: The value's text.
    """

    flag: str
    field: str
    parameter: str
    text: str


class RunCommand(click.Command):
    """A command that takes dotted parameters and refuses an option that is given twice."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Takes the dotted options out before click sees the rest: click would read `-1` after one as an option."""
        rest, edits = split_dotted(args, ctx)
        ctx.meta[_META] = edits
        try:
            if not ctx.resilient_parsing:
                self._refuse_repeats(ctx, list(rest))
            return super().parse_args(ctx, rest)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            if isinstance(error, click.NoSuchOption):
                known = [option for parameter in self.get_params(ctx) for option in parameter.opts]
                meant = close_matches(error.option_name, known)
                raise click.NoSuchOption(error.option_name, possibilities=meant, ctx=ctx) from None
            raise

    def _refuse_repeats(self, ctx: click.Context, args: list[str]) -> None:
        _, _, order = self.make_parser(ctx).parse_args(args)
        for index, parameter in enumerate(order):
            if isinstance(parameter, click.Option) and not parameter.multiple and parameter in order[:index]:
                raise click.UsageError(f"{' / '.join(parameter.opts)} is given twice", ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completes options, and behind `--loss.` the parameters of the loss."""
        prefix, dot, _ = incomplete.partition(".")
        if not dot or prefix.lstrip("-") not in FLAGS:
            return super().shell_complete(ctx, incomplete)
        field = FLAGS[prefix.lstrip("-")]
        offered = [f"{prefix}.{name}" for name in _parameters(field, ctx.params)]
        return [CompletionItem(option) for option in offered if option.startswith(incomplete)]


def _parameters(field: str, params: Mapping[str, Any]) -> list[str]:
    from lossreg.registry import default

    try:
        spec = getattr(RunSpec(**{field: params[field]} if params.get(field) else {}), field)
        if field == "model" and spec is None:
            data = ComponentSpec.parse(params.get("data") or "digits")
            spec = ComponentSpec(default.datasets[data.name].record.model)
        return default.of(COMPONENT_FIELDS[field])[spec.name].record.known_parameters if spec else []
    except LossregError:
        return []


def split_dotted(args: Sequence[str], ctx: click.Context) -> tuple[list[str], list[Edit]]:
    """Separates dotted options from the other arguments.

    Raises:
        click.UsageError: If one has no value, or its flag is no component's.
    """
    rest: list[str] = []
    edits: list[Edit] = []
    words = iter(args)
    for word in words:
        if word == "--":
            return [*rest, word, *words], edits
        match = _DOTTED.fullmatch(word)
        if match is None:
            rest.append(word)
            continue
        flag, parameter, text = match.groups()
        if text is None:
            text = next(words, None)
        if ctx.resilient_parsing:
            continue
        if flag not in FLAGS:
            hint = did_you_mean(f"--{flag}", [f"--{known}" for known in FLAGS]).replace("'", "")
            raise click.UsageError(f"--{flag}.{parameter}: there is no component --{flag}.{hint}", ctx)
        if text is None:
            raise click.UsageError(f"--{flag}.{parameter} needs a value", ctx)
        edits.append(Edit(f"--{flag}.{parameter}", FLAGS[flag], parameter.replace("-", "_"), text))
    return rest, edits


def _complete(kind: str) -> Callable[..., list[CompletionItem]]:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from lossreg.registry import default

        registry = default.of(kind)
        return [
            # click's script for fish splits at commas.
            CompletionItem(name, help=registry[name].record.summary.replace(",", ""))
            for name in registry.names()
            if name.startswith(normalize(incomplete))
        ]

    return complete


def _component(*flags: str, field: str, help: str) -> Callable[[F], F]:  # noqa: A002  # click's word
    kind = COMPONENT_FIELDS[field]
    return click.option(*flags, field, metavar="SPEC", help=help, shell_complete=_complete(kind))


RUN_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _component("--loss", field="loss", help="The loss. [default: the task's own: cross_entropy or mse]"),
    _component("--opt", "--optimizer", field="optimizer", help="The optimizer. [default: sgd]"),
    _component("--sched", "--scheduler", field="scheduler", help="The learning-rate scheduler. [default: none]"),
    _component("--model", field="model", help="The model. [default: the data set's own]"),
    _component("--data", "--dataset", field="data", help="The data set. [default: digits]"),
    click.option("--epochs", type=int, metavar="N", help="Passes over the training split. [default: 20]"),
    click.option("--batch-size", type=int, metavar="N", help="Samples of a batch, over all processes. [default: 64]"),
    click.option("--accumulate", type=int, metavar="N", help="Batches whose gradients make one step. [default: 1]"),
    click.option(
        "--clip-grad-norm", type=float, metavar="X", help="Scale gradients down to this norm. [default: no limit]"
    ),
    click.option(
        "--param-groups",
        multiple=True,
        metavar="GROUP",
        help="'PATTERN: KEY=VALUE, ...': the optimizer's options for parameters whose names match, such as "
        "'*.bias: weight_decay=0'; may be given more than once.",
    ),
    click.option("--seed", type=int, metavar="N", help="For initial weights and the order of samples. [default: 0]"),
    click.option("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps. [default: auto]"),
    click.option(
        "--precision",
        type=click.Choice(["auto", "32", "bf16", "16"]),
        help="What the model computes in: float32, or mixed with 16 bits. [default: auto]",
    ),
    click.option("--compile", is_flag=True, default=None, help="Compile model and loss with torch.compile."),
    click.option(
        "--loader",
        type=click.Choice(["auto", "resident", "dataloader"]),
        help="Keep the samples on the device, or read them batch by batch. [default: auto: resident where they fit]",
    ),
    click.option("--workers", type=int, metavar="N", help="Processes that read samples. [default: as the machine has]"),
    click.option(
        "--sched-interval",
        "scheduler_interval",
        type=click.Choice(["epoch", "step"]),
        help="What the scheduler counts. [default: the scheduler's own]",
    ),
    click.option("--limit-train", type=int, metavar="N", help="Train on the first N samples."),
    click.option("--limit-test", type=int, metavar="N", help="Evaluate on the first N samples."),
    click.option("--eval-train", is_flag=True, default=None, help="Evaluate on the training split, too."),
    click.option("--log-every", type=int, metavar="N", help="Steps between two log lines. [default: 100]"),
    click.option(
        "-c",
        "--config",
        type=click.Path(),
        metavar="FILE",
        help="A TOML or JSON file with such settings, or the run.json of a past run; options go before it.",
    ),
)


def run_options(function: F) -> F:
    """Adds the options that describe a run."""
    for option in reversed(RUN_OPTIONS):
        function = option(function)
    return function


def settings_of(ctx: click.Context) -> dict[str, Any]:
    """The settings of a run: options before the file, and dotted options edit what the two say.

    Returns:
        Arguments for `lossreg.run`, checked for type and range.

    Raises:
        LossregError: If the file or a setting is wrong.
    """
    flags = {key: value for key, value in ctx.params.items() if key in RUN_KEYS and value not in (None, ())}
    if "param_groups" in flags:
        flags["param_groups"] = _groups(flags["param_groups"])
    settings: dict[str, Any] = dict(RunSpec.from_mapping(flags, "").items())
    settings = {key: settings[key] for key in flags}
    if ctx.params["config"] is not None:
        settings = {**load_config(ctx.params["config"], replaced=flags.keys()), **settings}
    for field in COMPONENT_FIELDS:
        edits = [edit for edit in ctx.meta[_META] if edit.field == field]
        if edits:
            settings[field] = _edited(field, settings, flags, edits)
    return dict(RunSpec(**settings).items())


def _groups(texts: tuple[str, ...]) -> dict[str, str]:
    """`PATTERN: KEY=VALUE, ...` as patterns and options."""
    groups: dict[str, str] = {}
    for text in texts:
        pattern, colon, options = map(str.strip, text.partition(":"))
        if not colon or not pattern or not options:
            raise ConfigError(
                f"--param-groups {text!r}: write 'PATTERN: KEY=VALUE, ...', such as '*.bias: weight_decay=0'"
            )
        if pattern in groups:
            raise ConfigError(f"--param-groups: the pattern {pattern!r} is given twice")
        groups[pattern] = options
    return groups


def _edited(field: str, settings: Mapping[str, Any], flags: Mapping[str, Any], edits: list[Edit]) -> str:
    from lossreg.registry import default

    spec = _base(field, settings, edits[0])
    registered = default.of(COMPONENT_FIELDS[field])[spec.name]
    written = dict(ComponentSpec.parse(flags[field]).params) if field in flags else {}
    values: dict[str, Any] = {}
    for edit in edits:
        if edit.parameter in values or edit.parameter in written:
            raise ConfigError(f"{edit.flag}: {edit.parameter} of {registered.name} is given twice")
        parameter = registered.signature.find(edit.parameter, registered.name, registered.record.defaults)
        values[edit.parameter] = parameter.read(edit.text, registered.name)
    return spec.with_params(values).text


def _base(field: str, settings: Mapping[str, Any], edit: Edit) -> ComponentSpec:
    from lossreg.registry import default

    spec: ComponentSpec | None = getattr(RunSpec(**settings), field)
    if spec is not None:
        return spec
    if field == "model":
        return ComponentSpec(default.datasets[RunSpec(**settings).data.name].record.model)
    if field == "loss":
        raise ConfigError(f"{edit.flag}: which loss is meant depends on the data set; name it with --loss")
    raise ConfigError(f"{edit.flag} has no effect without a {field}; name one with --sched")
