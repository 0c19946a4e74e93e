"""`lossreg schema`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import click

from lossreg.cli.plugin_options import plugin_options
from lossreg.component import KINDS

logger = logging.getLogger("lossreg")


@click.command("schema")
@click.option(
    "--full",
    is_flag=True,
    help="Also import every component: types and docs of parameters, and unknown parameters are refused.",
)
@plugin_options
def schema_command(full: bool) -> None:
    """Print a JSON Schema of all that is installed, by which an editor completes and checks a file of settings.

    It has the settings with their bounds and defaults, the names of all components with what they are, and their
    parameters. With a line `#:schema ./run.schema.json` at the top of a TOML file, editors with Even Better TOML, taplo
    or tombi read it. Print it again after installing or removing plugins.

    \b
    Examples:
      lossreg schema > run.schema.json
      lossreg schema -p ./my_losses.py --full > run.schema.json
      LOSSREG_BRIDGES=0 lossreg schema --full > run.schema.json
    """
    from lossreg.registry.registries import default
    from lossreg.schema.document import file_schema

    default.load()
    if full and any(entry.from_table for kind in KINDS for entry in default.of(kind).entries):
        click.echo("importing all components of all packages, which may take a minute or more", err=True)
    found, failures = file_schema(default, imports=full)
    for failure in failures:
        logger.warning("%s; the schema has what is declared of it", failure)
    click.echo(_lines(found))


def _lines(schema: Mapping[str, Any]) -> str:
    """A schema as JSON, with each setting and each component in a line of its own."""

    def text(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    def table(value: object) -> str:
        if not isinstance(value, dict):
            return text(value)
        return "{\n" + ",\n".join(f"{text(key)}: {text(one)}" for key, one in value.items()) + "\n}"

    return "{\n" + ",\n".join(f"{text(key)}: {table(value)}" for key, value in schema.items()) + "\n}"
