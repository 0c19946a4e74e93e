"""`lossreg convert`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lossreg.cli.config_file import load_config
from lossreg.cli.convert_trial import check_accepted, tried
from lossreg.cli.plugin_options import plugin_options
from lossreg.cli.text_file import STDIN, named, read_text
from lossreg.conversion.formats import FORMATS, check_setting, format_module, guess_format, read_settings
from lossreg.conversion.result import Converted, toml_of
from lossreg.errors import ConfigError
from lossreg.plugins.isolation import StdoutToStderr
from lossreg.run_spec import RunSpec
from lossreg.training.record.outputs import output_file, written
from lossreg.values import bounded, one_line


@click.command("convert")
@click.argument("file", metavar="FILE", type=click.Path(allow_dash=True))
@click.option(
    "--from", "source", type=click.Choice(tuple(FORMATS)), help="The format of FILE. [default: by its content]"
)
@click.option(
    "--to", "target", type=click.Choice(tuple(FORMATS)), help="The format to write. [default: lossreg's TOML]"
)
@click.option(
    "--out",
    type=click.Path(),
    metavar="FILE",
    help="Write to this file; one that is there is replaced. [default: stdout]",
)
@click.option("--json", "as_json", is_flag=True, help="Print settings or text, notes and what is left out as JSON.")
@plugin_options
def convert_command(file: str, source: str | None, target: str | None, out: str | None, as_json: bool) -> None:
    """Convert the configuration of another program to settings of lossreg, or settings to its configuration.

    The formats are mmengine (configs of MMEngine), hydra (YAML with _target_), lightning (YAML of LightningCLI) and
    timm (args.yaml of train.py, or its command line). What is printed is TOML for `lossreg run -c`: the loss, the
    optimizer with its parameter groups, the schedule, and what is plainly there of the loop. Lines on stderr say what
    means something else here and was carried over right (note), and what is left out (warning). FILE is read, never
    run: no name in it is imported. `-` is stdin.

    With --to, FILE is a TOML file of settings or a run directory, unless --from says another format.

    \b
    Examples:
      lossreg convert args.yaml > run.toml
      lossreg convert config.py --from mmengine --out run.toml
      lossreg convert conf/train.yaml --from hydra | lossreg plan -c -
      lossreg convert run.toml --to lightning --out config.yaml
      lossreg convert runs/first --to timm
    """
    from lossreg.registry.registries import default

    notes: tuple[str, ...] = ()
    place = None if out is None else output_file(out, "--out", [] if file == STDIN else [file])
    with StdoutToStderr():
        if target is not None and source is None:
            converted = _own(file)
        else:
            source, converted = _read(file, source)
            converted = tried(converted, default)
            if not converted.settings:
                why = "".join(f"\n  {one_line(one)}" for one in converted.left_out)
                raise ConfigError(f"{named(file)}: nothing in it can be converted from {source}{why}")
        if target is None:
            text = toml_of(converted.settings)
        else:
            spec = RunSpec.from_mapping(converted.settings, named(file))
            text, notes = format_module(target).write(spec, default)
    notes = (*converted.notes, *notes)
    if as_json:
        facts = {"from": source or "lossreg", "to": target or "lossreg", "text": text}
        settings = {} if target else {"settings": converted.settings}
        text = json.dumps({**facts, **settings, "notes": notes, "left_out": converted.left_out}, allow_nan=False) + "\n"
    else:
        for line in (*(f"note: {one}" for one in notes), *(f"warning: left out: {one}" for one in converted.left_out)):
            click.echo(bounded(one_line(line)), err=True)
    if place is None:
        click.echo(text, nl=False)
        return
    with written(place) as partial:
        partial.write_text(text, encoding="utf-8")


def _own(file: str) -> Converted:
    """Settings of lossreg, which have to be what a run takes, whatever another program has an equal for."""
    from lossreg.registry.registries import default

    where, settings = load_config(file, default)
    for key, value in settings.items():
        check_setting(key, value, default)
    check_accepted(settings, where, default)
    if settings:
        return Converted(settings)
    return Converted(settings, (f"{where} sets nothing: what is written is a run with the defaults of lossreg",))


def _read(file: str, source: str | None) -> tuple[str, Converted]:
    """The format of a file, and what it says."""
    from lossreg.registry.registries import default

    if not file:
        raise ConfigError("FILE is empty; name a file")
    if Path(file).is_dir():
        raise ConfigError(f"{file} is a directory; a run directory is converted with --to")
    where, text = named(file), read_text(file)
    if source is not None:
        return source, read_settings(text, where, source, default)
    source, sign = guess_format(text, where)
    click.echo(
        one_line(f"note: {where} is read as {source}, since it has {sign}; --from names another format"), err=True
    )
    return source, read_settings(text, where, source, default)
