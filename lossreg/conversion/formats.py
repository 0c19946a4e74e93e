"""The formats of other programs: which there are, which of them a text is in, and reading and writing one."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Mapping
from typing import Any, Protocol, cast

import attrs

from lossreg.conversion.python_literals import parse_python
from lossreg.conversion.result import Converted, Draft
from lossreg.conversion.yaml_text import read_yaml
from lossreg.errors import ConfigError, LossregError, MissingLibraryError
from lossreg.registry.build import resolve
from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS, RunSpec
from lossreg.toml_text import read_toml
from lossreg.training.optimizer_choice import choose_for_group, choose_optimizer
from lossreg.values import one_line


class FormatModule(Protocol):
    """What the module of a format has."""

    def read(self, text: str, where: str, registries: Registries) -> Converted:
        """Reads a text of the format.

        Args:
            text: What is in the file.
            where: The path of the file as it was written, for messages and for files beside it; `stdin` for that.
            registries: Where components are looked up.

        Raises:
            ConfigError: If the text is not in the format.
        """

    def write(self, spec: RunSpec, registries: Registries) -> tuple[str, tuple[str, ...]]:
        """Writes settings as a text of the format.

        Args:
            spec: The settings.
            registries: Where components are looked up.

        Returns:
            The text, and notes on what means something else there or was left out.

        Raises:
            LossregError: If a component is wrong.
        """


@attrs.frozen
class Format:
    """A format.

    Attributes:
        name: The word for it.
        about: What files it is of.
        signs: Patterns of what only such files have, and what of it a person is told.
    """

    name: str
    about: str
    signs: tuple[tuple[str, str], ...]


#: What YAML does not have, and TOML and Python do.
_ASSIGNMENT = re.compile(r"(?m)^[ \t]*[\w.\"'-]+[ \t]*=|^[ \t]*\[+[\w. \"'-]+\]+[ \t]*$", re.ASCII)

_KEY = r"(?m)(?:^|[{{,])[ \t]*[\"']?(?:{})[\"']?[ \t]*[:=]"

#: Name -> format, in the order in which a text is tried. Each is `lossreg.conversion.<name>`.
FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format(
            "mmengine",
            "configs of MMEngine and OpenMMLab",
            (
                (_KEY.format("optim_wrapper"), "optim_wrapper"),
                (_KEY.format("param_scheduler"), "param_scheduler"),
                (_KEY.format("_base_"), "_base_"),
                (_KEY.format("train_cfg"), "train_cfg"),
            ),
        ),
        Format(
            "hydra",
            "YAML for hydra.utils.instantiate",
            ((_KEY.format("_target_"), "_target_"), (_KEY.format("defaults"), "defaults")),
        ),
        Format(
            "lightning",
            "YAML of LightningCLI",
            (
                (_KEY.format("class_path"), "class_path"),
                (_KEY.format("seed_everything"), "seed_everything"),
                (_KEY.format("trainer"), "trainer"),
            ),
        ),
        Format(
            "timm",
            "args.yaml of timm's train.py, or its command line",
            (
                (r"(?:^|\s)--(?:opt|sched|model|lr|lr-base|warmup-epochs)(?:[ \t=]|$)", "options such as --opt"),
                (_KEY.format("opt"), "opt"),
                (_KEY.format("sched"), "sched"),
            ),
        ),
    )
}


def format_module(name: str) -> FormatModule:
    """The module of a format.

    Raises:
        ConfigError: If there is no such format.
    """
    if name not in FORMATS:
        raise ConfigError(f"there is no format {name!r}; formats: {', '.join(FORMATS)}")
    return cast(FormatModule, importlib.import_module(f"lossreg.conversion.{name}"))


def guess_format(text: str, where: str) -> tuple[str, str]:
    """The format that a text is in, by what is in it.

    Args:
        text: The text.
        where: The file, for the message.

    Returns:
        The name of the format, and what in the text it is known by.

    Raises:
        ConfigError: If it has nothing of any of them, or is YAML or Python that cannot be read.

    Example:
        >>> guess_format("opt: adamw", "args.yaml")
        ('timm', 'opt')
    """
    for name, one in FORMATS.items():
        for pattern, sign in one.signs:
            if re.search(pattern, text):
                return name, sign
    if where.lower().endswith((".yaml", ".yml")) or (where == "stdin" and not _ASSIGNMENT.search(text)):
        with contextlib.suppress(MissingLibraryError):
            read_yaml(text, where)  # what is broken says nothing of a program
    if where.lower().endswith(".py"):
        parse_python(text, where)
    raise ConfigError(
        f"{where}: it does not say of which program it is; write --from and one of {', '.join(FORMATS)}, or --to for "
        f"settings of lossreg{_broken_assignments(text, where)}"
    )


def _broken_assignments(text: str, where: str) -> str:
    """What is wrong with a text from stdin that could be Python or TOML and is neither, as the end of a message."""
    if where != "stdin":
        return ""
    try:
        read_toml(text)
    except ValueError as not_toml:
        try:
            parse_python(text, where)
        except ConfigError as not_python:
            return f". {not_python.message}; nor is it TOML: {one_line(str(not_toml))}"
    return ""


def read_settings(text: str, where: str, name: str, registries: Registries) -> Converted:
    """The settings in a text of a format, each of them checked as a file of settings is.

    Args:
        text: The text.
        where: As for `FormatModule.read`.
        name: The format.
        registries: Where components are looked up.

    Raises:
        ConfigError: If the text is not in the format, or has nothing that lossreg has a setting for.
    """
    try:
        found = format_module(name).read(text, where, registries)
    except OverflowError as error:
        raise ConfigError(f"{where}: a number in it is too large ({error})") from error
    draft = Draft(notes=list(found.notes), left_out=list(found.left_out))
    for key, value in found.settings.items():
        try:
            check_setting(key, value, registries)
        except LossregError as error:
            draft.leave_out(error.message.partition("\n")[0])
        else:
            draft.set(key, value)
    if not draft.settings:
        why = "".join(f"\n  {one_line(one)}" for one in draft.left_out)
        raise ConfigError(f"{where}: nothing in it can be converted from {name}{why}")
    return draft.done()


def check_setting(key: str, value: Any, registries: Registries) -> None:
    """Checks one setting, and the components in it.

    Raises:
        LossregError: If the setting does not exist, or it or a component in it is wrong.
    """
    spec = RunSpec.from_mapping({key: value}, "")
    if key == "optimizer":
        choose_optimizer(spec.optimizer, registries)  # which reads `rest` and `scheduler`, as a run does
    elif key in COMPONENT_FIELDS and getattr(spec, key) is not None:
        resolve(registries.of(COMPONENT_FIELDS[key]), getattr(spec, key))
    for group in spec.param_groups:
        if group.optimizer is not None and not group.goes_to_rest:
            choose_for_group(group, registries)
