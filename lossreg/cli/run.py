"""`lossreg run`."""

from __future__ import annotations

import json
from typing import Any

import click

from lossreg.cli.output import next_commands
from lossreg.cli.plugin_options import plugin_options
from lossreg.cli.run_command import COMMAND, RunCommand
from lossreg.cli.run_options import run_options
from lossreg.cli.run_settings import naming_file, settings_of
from lossreg.plugins.isolation import StdoutToStderr
from lossreg.training.arguments import check_resuming
from lossreg.training.hardware.launcher import find_launch
from lossreg.training.record.directory import RUNS, absolute_path
from lossreg.values import printable


@click.command("run", cls=RunCommand)
@run_options
@click.option(
    "--out", type=click.Path(), metavar="DIR", help="The run directory, absent or empty. [default: runs/<time>-<parts>]"
)
@click.option(
    "--resume",
    type=click.Path(),
    metavar="DIR",
    help="Go on with the run in a directory, from its newest checkpoint, with its settings.",
)
@click.option("--override", is_flag=True, help="Let a resumed run go on with other settings.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@click.option("--plots/--no-plots", default=True, help="Draw curves.png at the end. [default: yes]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@plugin_options
@click.pass_context
def run_command(ctx: click.Context, /, **options: Any) -> None:
    """Train a model from named parts and keep the result in a run directory.

    A SPEC is a name, or a name with parameters: "dice(smooth=1)". A dotted option sets one parameter: --opt.lr 0.1.
    `lossreg list` shows the names, `lossreg show loss dice` the parameters. The directory gets run.json (what was
    run, and the final metrics), metrics.jsonl (a line for each epoch and each logged step), model.safetensors (the
    weights), curves.png (losses, metrics and the learning rate) and checkpoints, from which --resume goes on after
    whatever ended a run. Ctrl-C and SIGTERM end it after the step under way, with a checkpoint; a second one ends it
    at once. What is chosen for the device, and why, is in the first lines.

    \b
    Examples:
      lossreg run --loss dice --opt sgd
      lossreg run --loss "dice(smooth=1)" --opt "adam(lr=3e-4)" --epochs 5
      lossreg run --data mnist --loss cross_entropy --opt.momentum 0 \\
                  --sched lambda_lr --sched.lr_lambda "epoch // 2"
      lossreg run --data diabetes --loss l1
      lossreg run --batch-size 16 --accumulate 4 --clip-grad-norm 1 --precision 32
      lossreg run --observe "tensorboard(directory='events')"
      torchrun --standalone --nproc-per-node 2 -m lossreg run --loss cross_entropy
      lossreg run -c run.toml --opt.lr 0.05       a file, with one parameter changed
      lossreg run -c runs/ID/run.json             repeat a run: the same weights
      lossreg run --resume runs/ID                go on with a run that was broken off
      lossreg run --resume runs/ID --epochs 40    or make one longer
    """
    # Before a plugin is imported, which may change the working directory.
    place = absolute_path(options["out"] or RUNS)
    named = options["out"] and place
    check_resuming(options["resume"], options["out"], options["override"])
    resume = options["resume"] and absolute_path(options["resume"])
    settings = settings_of(ctx, resume)
    from lossreg.registry.registries import default
    from lossreg.training.execution import run_request
    from lossreg.training.selection import Request
    from lossreg.training.stops import signals_as_exits

    with StdoutToStderr(), signals_as_exits(), naming_file(settings.file, settings.from_file):
        result = run_request(
            Request(settings.spec, {}, default, repeats=settings.repeats, command=ctx.meta.get(COMMAND)),
            out=named,
            resume=resume,
            override=options["override"],
            runs=place,
            quiet=options["quiet"],
            plots=options["plots"],
        )
    if options["as_json"]:
        click.echo(json.dumps(result.to_json(), allow_nan=False))
        return
    hidden = {"kind", "epoch", "step", "lr", "seconds", "samples_per_second"}
    if result.final["weights"] == "raw" and result.spec.weights in ("auto", "raw"):
        hidden.add("weights")  # where there are no others
    rows = [
        (name, value if isinstance(value, str) else f"{value:.4f}")
        for name, value in result.final.items()
        if name not in hidden and value is not None
    ]
    best = [] if result.best_epoch is None else [("best_epoch", str(result.best_epoch))]
    table = [*rows, *best, ("seconds", f"{result.seconds:.1f}"), ("directory", str(result.directory))]
    width = max(25, *(len(name) + 1 for name, _ in table))
    for name, text in table:
        click.echo(printable(f"{name:<{width}}{text}"))
    launch = find_launch()
    if not options["quiet"] and (launch is None or launch.rank == 0):  # of several processes, the main one speaks
        for line in next_commands(result.directory, is_repeatable=result.repeatable):
            click.echo(printable(f"next: {line}"), err=True)
