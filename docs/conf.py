"""The site: the Markdown of this folder, with reference pages made from docstrings and from the command line.

    sphinx-build -W --keep-going -b html docs build/site

The Markdown stays plain, so that it reads well without the site: the lists of links in index.md and decisions/README.md
become the site's navigation, and docstrings keep their single backticks.
"""

# ruff: noqa: ARG001  # Sphinx gives its events' functions more than these need

from __future__ import annotations

import ast
import inspect
import re
import sys
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click
    from sphinx.application import Sphinx

project = "lossreg"
release = version_of("lossreg")
version = release
project_copyright = "the authors of lossreg"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
]
exclude_patterns = ["_build"]

myst_heading_anchors = 4  # with GitHub's slugs
html_theme = "furo"
html_title = f"lossreg {release}"
html_copy_source = False
html_show_sphinx = False

smartquotes = False  # they would make a dash of the -- of an option
default_role = "code"  # a single backtick in a docstring is Markdown's
maximum_signature_line_length = 90
python_use_unqualified_type_names = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_use_ivar = True  # as a list of fields: attributes of attrs classes are not described twice
napoleon_use_rtype = False
napoleon_custom_sections = ["Shape"]

_IMPORTED: set[str] = set()  # modules whose imports for type checkers are done
_LINK = re.compile(r"\[([^\]]+)\]\(([^)#:]+)\)")


def _outside(app: Sphinx, docname: str, source: list[str]) -> None:
    """Lets a link to a page outside of this folder (README.md) lead to the file, as the site has no such page."""
    source[0] = re.sub(r"\[([^\]]+)\]\((\.\./\w+\.md)\)", r"[\1](path:\2)", source[0])


def _navigation(app: Sphinx, docname: str, source: list[str]) -> None:
    """Gives a page of links a table of contents of the same links, one for each of its sections."""
    if docname not in ("index", "decisions/README"):
        return
    tables = []
    for section in re.split(r"^## ", source[0], flags=re.MULTILINE):
        caption = section.partition("\n")[0] if not section.startswith("# ") else ""
        lines = [line for line in section.splitlines() if line.startswith("- ")]
        pages = [f"{title} <{page.rpartition('.')[0]}>" for line in lines for title, page in _LINK.findall(line)[:1]]
        if pages:
            options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
            tables.append("\n".join(["```{toctree}", *options, "", *pages, "```"]))
    source[0] = "\n\n".join([source[0], *tables])


def _type_imports(app: Sphinx, obj: Any, bound_method: bool) -> None:
    """Carries out what a module imports for type checkers only, so that `Optimizer` there is the class it means."""
    module = sys.modules.get(getattr(obj, "__module__", ""))
    if module is None or not module.__name__.startswith("lossreg.") or module.__name__ in _IMPORTED:
        return
    _IMPORTED.add(module.__name__)
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            exec(compile(ast.Module(node.body, []), module.__name__, "exec"), vars(module))  # noqa: S102  # our own code


def _literal_blocks(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Makes indented code after a line that ends in a colon a literal block, as a reader takes it."""
    for index, line in enumerate(lines[:-2]):
        blank, following = lines[index + 1], lines[index + 2]
        indent = len(line) - len(line.lstrip())
        is_code = following.startswith(" " * (indent + 4)) and not blank.strip()
        if is_code and line.endswith(":") and not line.endswith("::"):
            lines[index] = f"{line}:"


def _factories(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Shows a default that attrs makes anew each time as `...`, not as attrs' own NOTHING."""
    return signature and signature.replace("=NOTHING", "=..."), returns


def _plain_help(app: Sphinx, ctx: click.Context, lines: list[str]) -> None:
    """Keeps the text of a command or option as the terminal shows it; what click does not wrap is a literal block."""
    text, literal = [], False
    for line in lines:
        shown = line.removeprefix("| ") if line.startswith("|") else None
        if shown is None:
            literal = False
            text.append(line.replace("*", r"\*"))
        elif not shown.startswith(" "):  # a title, such as `Examples:`
            literal = True
            text += ["", f"{shown}:", ""]
        else:
            text.append(shown if literal else f"| {shown}")
    lines[:] = text


def setup(app: Sphinx) -> None:
    """Connects these functions to Sphinx's events."""
    from sphinx.domains.python import PyObject  # pytest imports this module too, where there may be no Sphinx

    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    app.connect("source-read", _outside, priority=400)  # what it leaves are links to pages
    app.connect("source-read", _navigation)
    app.connect("autodoc-process-docstring", _literal_blocks, priority=400)  # before napoleon
    app.connect("autodoc-before-process-signature", _type_imports)
    app.connect("autodoc-process-signature", _factories)
    for part in ("description", "options"):
        app.connect(f"sphinx-click-process-{part}", _plain_help)
