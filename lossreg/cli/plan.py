"""`lossreg plan`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lossreg.cli.plugin_options import plugin_options
from lossreg.cli.run_options import RunCommand, naming_file, run_options, settings_of
from lossreg.plugins.isolation import StdoutToStderr

if TYPE_CHECKING:
    from lossreg.training.results import Plan


@click.command("plan", cls=RunCommand)
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print the plan as one JSON object.")
@plugin_options
@click.pass_context
def plan_command(ctx: click.Context, /, **options: Any) -> None:
    """Check a run and show every parameter, how loss and data meet, and the learning rate of each epoch.

    Takes what `lossreg run` takes. Nothing is trained and nothing is written.

    \b
    Examples:
      lossreg plan --loss l1
      lossreg plan --sched lambda_lr --sched.lr_lambda "epoch // 2" --epochs 20
    """
    settings = settings_of(ctx)
    from lossreg.registry.registries import default
    from lossreg.training.api import plan_request
    from lossreg.training.selection import Request

    with StdoutToStderr(), naming_file(settings.file, settings.from_file):
        plan = plan_request(Request(settings.spec, {}, default))
    click.echo(json.dumps(plan.to_json(), allow_nan=False) if options["as_json"] else _text(plan))


def _text(plan: Plan) -> str:
    lines = []
    for field, text in plan.spec.items():
        component = plan.components.get(field)
        if component is None:
            lines.append(f"{field:<20}{_setting(text)}")
            continue
        arguments = ", ".join(f"{key}={value!r}" for key, value in component["params"].items())
        source = f"{component['distribution']} {component['version']}" if component["distribution"] else "this process"
        lines.append(f"{field:<20}{component['id']}({arguments})  [{source}]")
    facts, contract = plan.facts, plan.contract
    data = facts["data"]
    lines += [
        "",
        f"{'runs on':<20}{facts['device']}, {facts['layout']['memory_format']} ({facts['layout']['reason']})",
        f"{'precision':<20}{facts['precision']['used']} ({facts['precision']['reason']})",
        *(f"{f'{name} samples':<20}{how['used']} ({how['reason']})" for name, how in facts["loaders"].items()),
        f"{'samples':<20}{data['train']} train, {data['test']} test; {data['task']}",
        f"{'steps':<20}{facts['steps_per_epoch']} an epoch",
        f"{'model parameters':<20}{facts['parameters']:,}",
        f"{'contract':<20}fits: output {tuple(contract['output_shape'])} goes to the loss "
        f"{_change(contract['input'])}, targets {_change(contract['target'])}",
        "",
        *_rates(plan),
        *(f"warning: {warning}" for warning in plan.warnings),
    ]
    return "\n".join(lines)


def _setting(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {options}" for key, options in value.items()) or "none"
    return "none" if value is None else str(value)


def _unknown_rates(plan: Plan) -> str:
    if plan.contract["monitor"]:
        return f"follows {plan.contract['monitor']}"
    steps = plan.spec.epochs * plan.facts["steps_per_epoch"]
    return f"not tried beforehand: {steps:,} steps"


def _change(how: str) -> str:
    return how if how == "unchanged" else f"as {how}"


def _rates(plan: Plan) -> list[str]:
    if plan.learning_rates is None:
        return [f"learning rate       {_unknown_rates(plan)}"]
    lines = ["epoch  learning rate"]
    for epoch, (first, last) in enumerate(plan.learning_rates):
        lines.append(f"{epoch:>5}  {first:g}" + (f" to {last:g}" if first != last else ""))
    return lines
