"""`lossreg new`."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path, PurePosixPath
from string import Template

import click

from lossreg.cli.existing_plugin import one_more
from lossreg.cli.list import check_kind, complete_kind
from lossreg.cli.new_names import Names
from lossreg.cli.plugin_options import plugin_options
from lossreg.component import KINDS
from lossreg.errors import ConfigError

logger = logging.getLogger("lossreg")

#: File of the new folder -> its template; both are filled in.
FILES: Mapping[str, str] = {
    "pyproject.toml": "common/pyproject.toml",
    "README.md": "common/README.md",
    ".gitignore": "common/gitignore",
    "$module/__init__.py": "common/__init__.py",
    "$module/py.typed": "common/py.typed",
    "$module/plugin.py": "$kind/plugin.py",
    "$module/$component.py": "$kind/component.py",
    "tests/test_$component.py": "$kind/test_component.py",
}


@click.command("new")
@click.argument("name")
@click.option(
    "--kind", default="loss", shell_complete=complete_kind, metavar="KIND", help=f"{', '.join(KINDS)}. [default: loss]"
)
@click.option("--component", default="mine", metavar="NAME", help="The component's name. [default: mine]")
@click.option("--directory", type=click.Path(), help="The folder to make. [default: NAME]")
@plugin_options
def new_command(name: str, kind: str, component: str, directory: str | None) -> None:
    """Write a distribution that offers a component, with its tests, to begin with.

    NAME is the distribution's name, such as my-losses or lossreg-focal. What it offers can be picked by name once it
    is installed. The component is a real one: change it into yours. What exists already is left as it is.

    \b
    Examples:
      lossreg new my-losses                         a loss, named mine, in ./my-losses
      lossreg new lossreg-focal --component focal   its full id is focal.focal
      lossreg new my-data --kind dataset --directory packages/my-data
    \b
    Then:
      pip install -e "my-losses[test]"
      lossreg run --loss mine
      pytest my-losses
    """
    names = Names(name, check_kind(kind), component)
    names.check()
    if directory == "":
        raise ConfigError("--directory is empty; name a folder, or leave the option out")
    target = Path(directory or name)
    check_folder(target, names, in_its_parent=directory is None)
    values = names.values()
    files = fill_in(values)
    write_folder(target, files)
    click.echo(f"wrote {target}")
    for file in files:
        click.echo(f"  {file}")
    rival = names.rival()
    if rival is not None:
        logger.warning(
            "the short name %r means %s, which lossreg brings along and which wins; yours is %s",
            component, rival, values["name"],
        )  # fmt: skip
    click.echo("\nInstall it, use it, test it:")
    click.echo(f"  pip install -e {shlex.quote(f'{target}[test]')}")
    click.echo(f"  lossreg run {values['flag']} {values['name']}")
    click.echo(f"  pytest {shlex.quote(str(target))}")


def fill_in(values: Mapping[str, str]) -> dict[str, str]:
    """The files of the new folder: path below it -> content."""
    folder = resources.files(__package__) / "templates"
    files = {}
    for file, template in FILES.items():
        path = PurePosixPath(Template(template).substitute(values) + ".tmpl")
        content = folder.joinpath(*path.parts).read_text(encoding="utf-8")
        files[Template(file).substitute(values)] = Template(content).substitute(values)
    return files


def check_folder(target: Path, names: Names, *, in_its_parent: bool) -> None:
    """Checks that a folder is not there, nor made in that of a plugin by mistake.

    Args:
        target: The folder.
        names: What is to be written into it.
        in_its_parent: Whether the folder around it may not be that of a plugin: where no other place was named.

    Raises:
        ConfigError: If it is; of a plugin it says how that offers one more component.
    """
    instead = one_more(target.parent, names) if in_its_parent else None
    if instead is not None:
        raise ConfigError(f"{target} would be a distribution in the folder of another, {Path.cwd().name}: {instead}")
    if os.path.lexists(target):
        instead = one_more(target, names) or "name another folder (--directory)"
        raise ConfigError(f"{target} exists already, and nothing is overwritten; {instead}")


def write_folder(target: Path, files: Mapping[str, str]) -> None:
    """Makes a folder with these files: all of it, or nothing.

    Raises:
        ConfigError: If it cannot be written.
    """
    try:
        with _made(target.parent), _partial(target.parent) as folder:
            for file, content in files.items():
                path = folder / file
                path.parent.mkdir(exist_ok=True)
                path.write_text(content, encoding="utf-8", newline="\n")
            folder.rename(target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"{target} cannot be written: {reason}; name another folder (--directory)") from error


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Makes a folder with its parents; what was made is removed again if the body fails."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for each in missing:
            with contextlib.suppress(OSError):
                each.rmdir()
        raise


@contextlib.contextmanager
def _partial(parent: Path) -> Iterator[Path]:
    """A new folder to be filled and renamed; it is removed if the body fails."""
    # Not tempfile's, which other users may not read: the folder keeps its mode when it is renamed.
    folder = parent / f".lossreg-new-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
