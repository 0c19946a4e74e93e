"""No source of lossreg runs what it has read: a check of every call by its syntax."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.table import for_each

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*(ROOT / "lossreg").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])


def words(text: str) -> frozenset[str]:
    """The words of a text: a list of so many would be a page."""
    return frozenset(text.split())


#: Calls that run, import or unpack what they are given, whatever their arguments are.
NEVER = words(
    "eval exec execfile compile __import__ breakpoint "
    "pickle.load pickle.loads pickle.Unpickler cPickle.load cPickle.loads dill.load dill.loads cloudpickle.load "
    "cloudpickle.loads joblib.load marshal.load marshal.loads shelve.open jsonpickle.decode "
    "yaml.load yaml.load_all yaml.full_load yaml.unsafe_load yaml.unsafe_load_all "
    "pandas.read_pickle pd.read_pickle torch.hub.load torch.jit.load torch.export.load torch.package.PackageImporter "
    "os.system os.popen os.execv os.execve os.execvp os.spawnv os.spawnl subprocess.getoutput "
    "subprocess.getstatusoutput "
    "runpy.run_path runpy.run_module importlib.import_module importlib.reload importlib.util.spec_from_file_location "
    "pkgutil.resolve_name importlib.metadata.EntryPoint ctypes.CDLL code.interact timeit.timeit logging.config.listen "
    "tarfile.open zipfile.ZipFile.extractall shutil.unpack_archive "
    "torchvision.datasets.utils.extract_archive torchvision.datasets.utils.download_and_extract_archive"
)
#: Names of methods and functions that do so, whatever object they are called on.
NEVER_NAMED = words(
    "extractall unpack_archive extract_archive download_and_extract_archive import_module run_path run_module "
    "load_module exec_module resolve_name spec_from_file_location"
)
#: Calls that are safe with one argument of one value only.
ONLY_WITH = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
    "numpy.save": ("allow_pickle", False),
}

#: File -> call -> why it may be there.
ALLOWED = {
    "lossreg/__init__.py": {"importlib.import_module": "the public names, from a table in the same file"},
    "lossreg/cli/main.py": {"importlib.import_module": "the commands, from a table in the same file"},
    "lossreg/comparison/warm.py": {"importlib.import_module": "constants"},
    "lossreg/conversion/formats.py": {"importlib.import_module": "the formats, from a table in the same file"},
    "lossreg/conversion/torch_classes.py": {"pkgutil.resolve_name": "torch's schedulers, from a table in the file"},
    "lossreg/conversion/yaml_text.py": {"yaml.load": "by a SafeLoader, which makes plain values alone"},
    "lossreg/plugins/local.py": {
        "importlib.import_module": "-p MODULE, which only a command line and Python can name",
    },
    "lossreg/plugins/entry_points.py": {
        "importlib.metadata.EntryPoint": "of installed distributions, each in isolation"
    },
    "lossreg/registry/entry.py": {"pkgutil.resolve_name": "factories, which the code of plugins names"},
    "lossreg/trained/exporting.py": {
        "torch.jit.load": "the file that was just written, to check it",
        "torch.export.load": "the file that was just written, to check it",
    },
    "plugins/lossreg_bridges/__main__.py": {"importlib.import_module": "our bridges, from a table"},
    "plugins/lossreg_bridges/catalogue.py": {"importlib.import_module": "our bridges, from a table"},
    "plugins/lossreg_bridges/making.py": {"importlib.import_module": "what makes the index of one of our bridges"},
    "plugins/lossreg_observers/common.py": {"importlib.import_module": "constants"},
}


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """What a call names, with the modules behind names that were imported: `load` is `torch.load`."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value, names)}.{node.attr}"
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    return "?"


def imported(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Name in the file -> where it was imported from, of whatever place in the file."""
    names = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update({each.asname: each.name for each in node.names if each.asname})
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({each.asname or each.name: f"{node.module}.{each.name}" for each in node.names})
    return names


def is_dangerous(name: str, keywords: dict[str | None, ast.expr]) -> bool:
    """Whether a call runs, or may run, what it is given."""
    if name.removeprefix("builtins.") in NEVER or name.rpartition(".")[2] in NEVER_NAMED:
        return True
    if name in ONLY_WITH:
        keyword, value = ONLY_WITH[name]
        given = keywords.get(keyword)
        return not (isinstance(given, ast.Constant) and given.value is value)
    shell = keywords.get("shell")
    return shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False)


def dangerous(text: str) -> Iterator[tuple[int, str]]:
    """Line and name of what a source calls, or hands on under its name, and should not."""
    nodes = [*ast.walk(ast.parse(text))]
    names = imported(nodes)
    called = set()
    for node in nodes:
        if isinstance(node, ast.Call):
            name = dotted(node.func, names)
            called.add(id(node.func))
            if is_dangerous(name, {one.arg: one.value for one in node.keywords}):
                yield node.lineno, name
    for node in nodes:
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in called:
            name = dotted(node, names)
            if isinstance(node.ctx, ast.Load) and name.removeprefix("builtins.") in NEVER | ONLY_WITH.keys():
                yield node.lineno, name


@functools.cache
def found() -> list[tuple[str, int, str]]:
    """File, line and name of each such call in the sources."""
    return [
        (path.relative_to(ROOT).as_posix(), line, name)
        for path in SOURCES
        for line, name in dangerous(path.read_text(encoding="utf-8"))
    ]


def test_nothing_dangerous_is_called() -> None:
    """Each such call is in the table above, with the reason why it may be there."""
    assert not {f"{file}:{line}: {name}" for file, line, name in found() if name not in ALLOWED.get(file, {})}


def test_what_is_allowed_is_there() -> None:
    """No row of the table outlives its call."""
    there = {(file, name) for file, _, name in found()}
    assert {(file, name) for file, calls in ALLOWED.items() for name in calls} <= there


@for_each(
    "text",
    [
        "eval(text)",
        "exec(text)",
        "compile(text, 'file', 'eval')",
        "import builtins\nbuiltins.eval(text)",
        "from builtins import eval as e\ne(text)",
        "__import__(name)",
        "map(eval, texts)",
        "run = exec",
        "import pickle\npickle.load(file)",
        "import pickle\npickle.loads(data)",
        "from pickle import loads\nloads(data)",
        "import pickle as p\np.Unpickler(file)",
        "import dill\ndill.load(file)",
        "import marshal\nmarshal.loads(data)",
        "import shelve\nshelve.open(name)",
        "import yaml\nyaml.load(text, Loader=yaml.Loader)",
        "from yaml import unsafe_load\nunsafe_load(text)",
        "import joblib\njoblib.load(file)",
        "import torch\ntorch.load(file)",
        "import torch\ntorch.load(file, weights_only=False)",
        "import torch\ntorch.load(file, weights_only=flag)",
        "import torch\ntorch.load(file, **options)",
        "from torch import load\nload(file)",
        "import torch\nread = torch.load",
        "import torch\ntorch.jit.load(file)",
        "import torch.hub\ntorch.hub.load(repository, name)",
        "import numpy as np\nnp.load(file)",
        "import numpy as np\nnp.load(file, allow_pickle=True)",
        "import numpy\nnumpy.load(file, allow_pickle=value)",
        "import importlib\nimportlib.import_module(content['factory'])",
        "from importlib import import_module\nimport_module(name)",
        "import importlib.util\nimportlib.util.spec_from_file_location(name, path)",
        "import pkgutil\npkgutil.resolve_name(text)",
        "import runpy\nrunpy.run_path(path)",
        "import os\nos.system(command)",
        "import os\nos.popen(command)",
        "import subprocess\nsubprocess.run(command, shell=True)",
        "import subprocess\nsubprocess.Popen(command, shell=flag)",
        "import tarfile\ntarfile.open(path).extractall(folder)",
        "archive.extractall(folder)",
        "import shutil\nshutil.unpack_archive(path)",
        "from torchvision.datasets.utils import extract_archive\nextract_archive(path)",
        "def late():\n    import torch\n    return torch.load(file)",
    ],
)
def test_a_planted_call_is_found(text: str) -> None:
    """Called under any name, in any place, or handed on without being called."""
    assert list(dangerous(text))


@for_each(
    "text",
    [
        "import re\nre.compile(text)",
        "import torch\ntorch.compile(model)",
        "import torch\ntorch.load(file, weights_only=True)",
        "import numpy as np\nnp.load(file, allow_pickle=False)",
        "import json\njson.loads(text)",
        "import ast\nast.parse(text, mode='eval')",
        "model.eval()",
        "import subprocess\nsubprocess.run(words)",
        "from safetensors.torch import load_file\nload_file(path)",
    ],
)
def test_what_is_harmless_is_not_found(text: str) -> None:
    """Names that only look like those, and the safe forms."""
    assert not list(dangerous(text))
