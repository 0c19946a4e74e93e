"""The names in what `lossreg new` writes: whether they can be, and what they are filled in as."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import keyword
import re
import sys
from collections.abc import Mapping

import attrs

import lossreg
from lossreg.errors import AmbiguousNameError, ComponentError, ConfigError, UnknownNameError
from lossreg.names import canonical, check_name, with_article
from lossreg.plugins.entry_points import entry_points
from lossreg.plugins.provenance import BUILTIN, LOCAL
from lossreg.registry.registries import default
from lossreg.run_spec import LISTED_FIELDS

#: Kind -> a parameter of the example, and another value than its default.
EXAMPLES: Mapping[str, str] = {
    "loss": "gamma 1.5",
    "optimizer": "lr 0.001",
    "scheduler": "warmup 5",
    "model": "hidden 256",
    "dataset": "noise 0.2",
    "metric": "bins 10",
    "observer": "digits 3",
}

FLAGS: Mapping[str, str] = {
    "loss": "--loss",
    "optimizer": "--opt",
    "scheduler": "--sched",
    "model": "--model",
    "dataset": "--data",
    "metric": "--metric",
    "observer": "--observe",
}

# PEP 508
_DISTRIBUTION = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.ASCII | re.IGNORECASE)

_TAKEN_FOLDERS = ("tests", "build", "dist", "runs")  # the new folder has, or its .gitignore drops, one of that name
_TAKEN_MODULES = ("plugin", "conftest")  # the import package has, or pytest treats in its own way, one of that name


@attrs.frozen
class Names:
    """What the new files are filled in with.

    Attributes:
        distribution: The distribution.
        kind: The kind of its component.
        component: The component.
    """

    distribution: str
    kind: str
    component: str

    @property
    def module(self) -> str:
        """The import package."""
        return canonical(self.distribution)

    @property
    def plugin(self) -> str:
        """The plugin: the import package's name, without the word that many distributions begin with."""
        return self.module.removeprefix("lossreg_")

    @property
    def attribute(self) -> str:
        """The component's factory in its module: a class named after it, or `load` for a data set."""
        if self.kind == "dataset":
            return "load"
        words = "".join(word.capitalize() for word in self.component.split("_"))
        return words if words.endswith(self.kind.capitalize()) else words + self.kind.capitalize()

    def check(self) -> None:
        """Checks the names themselves, then that nothing installed has them.

        Raises:
            ConfigError: If the distribution cannot have its name, or its component cannot.
            ComponentError: If plugin or component has a name that lossreg reads as something else.
        """
        self._check_distribution()
        try:
            check_name(self.plugin, "its plugin")
        except ComponentError as error:
            raise self._refused(f"{error.message}; choose another name") from error
        check_name(self.component, "the component (--component)")
        if self.component in _TAKEN_MODULES:
            raise ConfigError(
                f"the component (--component) is named {self.component!r}, but {self.component}.py is a file with a "
                "meaning of its own; name it otherwise"
            )
        self._check_installed()

    def _refused(self, why: str) -> ConfigError:
        return ConfigError(f"{self.distribution!r} cannot name a distribution for lossreg: {why}")

    def _check_distribution(self) -> None:
        if not _DISTRIBUTION.fullmatch(self.distribution):
            raise self._refused(
                "write letters, digits, '-', '_' and '.', a letter or digit at both ends, such as 'my-losses'"
            )
        imported = f"it would be imported as {self.module!r}, which"
        instead = f"write 'my-{self.distribution}', say"
        if not self.module.isidentifier():
            raise self._refused(f"{imported} is not a Python identifier; begin with a letter")
        if keyword.iskeyword(self.module):
            raise self._refused(f"{imported} is a keyword of Python; {instead}")
        if self.module == lossreg.__name__ or self.plugin in (BUILTIN, LOCAL):
            raise self._refused(f"the name {self.plugin!r} is reserved for lossreg itself; write 'lossreg-focal', say")
        if self.module in sys.stdlib_module_names:
            raise self._refused(f"{imported} is a module of Python's own; {instead}")
        if self.module in _TAKEN_FOLDERS:
            raise self._refused(f"{imported} is a folder with a meaning of its own; {instead}")

    def _check_installed(self) -> None:
        ours = canonical(self.distribution)
        points = entry_points()
        for point in points:
            if canonical(point.name) == self.plugin and canonical(point.distribution) != ours:
                raise self._refused(
                    f"its plugin would be named {self.plugin!r}, as that of {point.distribution} {point.version}, "
                    "and of two plugins of one name neither is loaded; choose another name"
                )
        if any(canonical(point.distribution) == ours for point in points):
            return  # an earlier state of the same
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            version = importlib.metadata.version(self.distribution)
            raise self._refused(
                f"{self.distribution} {version} is installed and would be replaced; choose another name"
            )
        found = importlib.util.find_spec(self.module)
        if found is not None and found.origin is not None:
            raise self._refused(
                f"it would be imported as {self.module!r}, which is there: {found.origin}; choose another name"
            )

    def written(self) -> str:
        """The name as one writes it: short, or the full id where another plugin has a component of this name."""
        full_id = f"{self.plugin}.{self.component}"
        try:
            owner = default.of(self.kind)[self.component].provenance.plugin
        except UnknownNameError:
            return self.component
        except AmbiguousNameError:
            return full_id
        return self.component if owner == self.plugin else full_id

    def rival(self) -> str | None:
        """The full id of the built-in component that keeps the short name, or None."""
        with contextlib.suppress(UnknownNameError, AmbiguousNameError):
            entry = default.of(self.kind)[self.component]
            return entry.id if entry.provenance.plugin == BUILTIN else None
        return None

    def _import(self) -> str:
        """The import of the factory, as formatters write it: in three lines where one would have more than 88 signs."""
        start = f"from {self.module}.{self.component} import"
        line = f"{start} {self.attribute}"
        return line if len(line) <= 88 else f"{start} (\n    {self.attribute},\n)"

    def _example(self) -> str:
        """Options that set a parameter; of metrics and observers there may be several: theirs stand in the text."""
        flag, name = FLAGS[self.kind], self.written()
        if self.kind in LISTED_FIELDS.values():
            parameter, value = EXAMPLES[self.kind].split()
            return f'{flag} "{name}({parameter}={value})"'
        return f"{flag} {name} {flag}.{EXAMPLES[self.kind]}"

    def values(self) -> dict[str, str]:
        """What a template can name."""
        return {
            **attrs.asdict(self),
            "module": self.module,
            "plugin": self.plugin,
            "attribute": self.attribute,
            "import_attribute": self._import(),
            "flag": FLAGS[self.kind],
            "a_kind": with_article(self.kind).capitalize(),
            "example": self._example(),
            "name": self.written(),
            "oldest_lossreg": oldest(lossreg.__version__),
        }


def oldest(version: str) -> str:
    """The lower bound to require for what was written with this version.

    Example:
        >>> oldest("0.1.3"), oldest("0.2.0.dev1+local")
        ('0.1', '0.2.0.dev1')
    """
    public = version.partition("+")[0]
    # `>=0.2` would refuse a development version of 0.2.
    return ".".join(public.split(".")[:2]) if re.fullmatch(r"[\d.]+", public) else public
