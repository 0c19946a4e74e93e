"""`lossreg new`: what it writes is installed, named, tested, linted and type-checked; wrong inputs write nothing."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lossreg.cli.main import main
from lossreg.cli.new_names import oldest
from tests.table import for_each, for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command

Result = subprocess.CompletedProcess[str]

KINDS = ("loss", "optimizer", "scheduler", "model", "dataset", "metric", "observer")
FLAGS = {
    "loss": "--loss", "optimizer": "--opt", "scheduler": "--sched", "model": "--model", "dataset": "--data",
    "metric": "--metric", "observer": "--observe",
}  # fmt: skip
FIELDS = {
    "dataset": "data",
    "metric": "metric.1",
    "observer": "observer.1",
}  # what run.json calls a component, where that is not its kind
FILES = {
    ".gitignore",
    "README.md",
    "my_losses/__init__.py",
    "my_losses/mine.py",
    "my_losses/plugin.py",
    "my_losses/py.typed",
    "pyproject.toml",
    "tests/test_mine.py",
}
PIP = (
    *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-compile"),
    "--disable-pip-version-check",
)


def child(*command: str | Path, cwd: Path, path: Path | None = None) -> Result:
    """Runs a command, on one thread, with a folder on sys.path."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(path or "")}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the extra of a new distribution is pytest alone
    words = list(map(str, command))
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)


def lossreg(*arguments: str, cwd: Path, path: Path | None = None) -> Result:
    """Runs `lossreg` in a child process, which looks for nothing in its working directory."""
    return child(sys.executable, "-P", "-m", "lossreg", *arguments, cwd=cwd, path=path)


def new(*arguments: str, cwd: Path) -> str:
    """What a `lossreg new` that must succeed in silence writes to stdout, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main(("new", *arguments))
    assert (ended.value.code, err.getvalue()) == (0, "")
    return out.getvalue()


def files(folder: Path) -> set[str]:
    """The files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new distribution of each kind, `my-<kind>`, all of them installed by pip into `site`."""
    folder = tmp_path_factory.mktemp("made")
    for kind in KINDS:
        new(f"my-{kind}", "--kind", kind, cwd=folder)
    sources = tmp_path_factory.mktemp("sources")  # a build may leave something behind
    shutil.copytree(folder, sources, dirs_exist_ok=True)
    installed = child(*PIP, "--target", folder / "site", *(sources / f"my-{kind}" for kind in KINDS), cwd=folder)
    assert installed.returncode == 0, installed.stderr
    return folder


def run_by_name(python: str, made: Path) -> Result:
    """Trains for an epoch with the new component of every kind, each by its short name."""
    chosen = [word for flag in FLAGS.values() for word in (flag, "mine")]
    limits = ["--epochs", "1", "--limit-train", "64", "--quiet", "--out", "run"]
    return child(python, "-P", "-m", "lossreg", "run", *chosen, *limits, cwd=made, path=made / "site")


def look(python: str, made: Path) -> Result:
    """Compares what the table of each new distribution says with the code."""
    code = """
import json, lossreg
from lossreg.registry.registries import default
for kind in ("loss", "optimizer", "scheduler", "model", "dataset", "metric", "observer"):
    mine = default.of(kind)["mine"]
    own = {name: p.default for name, p in mine.signature.parameters.items() if name not in mine.component.runtime_args}
    print(json.dumps([kind, mine.component.defaults, own]))
"""
    return child(python, "-P", "-c", code, cwd=made, path=made / "site")


def own_tests(python: str, kind: str, made: Path) -> Result:
    """Runs the tests of a new distribution, where a warning is an error, with what is installed."""
    pytest_command = [python, "-P", "-m", "pytest", "-v", "-W", "error", "-p", "no:cacheprovider"]
    return child(*pytest_command, cwd=made / f"my-{kind}", path=made / "site")


# What torch has behind its public names is two thousand modules, which take mypy half a minute.
BEHIND_TORCH = (
    "torch._dynamo", "torch._inductor", "torch._functorch", "torch._export", "torch.export", "torch.distributed",
    "torch.fx", "torch.onnx", "torch.ao", "torch.jit", "torch._refs", "torch._prims", "torch._decomp",
    "torch._subclasses", "torch._higher_order_ops", "torch.profiler", "torch.cuda", "torch.package", "torch.nested",
    "torch.compiler", "torch.masked", "torch.quantization", "torch._numpy", "torch._native", "torch.distributions",
    "torch.backends", "sympy", "numpy", "matplotlib", "rich", "onnx", "torchvision",
)  # fmt: skip
# Each line has a type that is wrong, and that mypy would not see if it knew nothing of what the line names.
WRONG = """
import lossreg
import torch
from torch.nn import functional
from torch.optim.optimizer import ParamsT

tensor: int = torch.zeros(1)
module: int = torch.nn.Linear(1, 1)
parameter: int = torch.nn.Parameter(torch.zeros(1))
function: int = functional.cross_entropy(torch.zeros(1, 2), torch.zeros(1))
optimizer: int = torch.optim.SGD([torch.zeros(1)])
state: int = torch.optim.SGD([torch.zeros(1)]).state_dict()
schedule: int = torch.optim.lr_scheduler.StepLR(torch.optim.SGD([torch.zeros(1)]), 1)
generator: int = torch.Generator()
weights: ParamsT = 3
dataset: int = lossreg.datasets.build("digits")
result: int = lossreg.run()
row: int = lossreg.Loss("mine", "mine:Mine", target="index")
""".strip()


def typed(folder: Path, cache: Path) -> Result:
    """Checks the types of new distributions of all kinds at once: torch is read once, modules need other names.

    With a cache that the next session of tests finds: what mypy knows of torch takes it most of its time.
    """
    (folder / "wrong.py").write_text(WRONG)
    unread = [f"[mypy-{name}.*]\nfollow_imports = skip\nfollow_imports_for_stubs = True" for name in BEHIND_TORCH]
    (folder / "mypy.ini").write_text("\n".join(["[mypy]\nstrict = True", *unread]))
    options = ("--config-file", "mypy.ini", "--cache-dir", cache)
    return child(sys.executable, "-m", "mypy", *options, ".", cwd=folder)


@pytest.fixture(scope="module")
def jobs(warm_python: str, made: Path) -> Iterator[dict[str, Future[Result]]]:
    """The long child processes, side by side."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started = {
            "run": pool.submit(run_by_name, warm_python, made),
            "look": pool.submit(look, warm_python, made),
            **{kind: pool.submit(own_tests, warm_python, kind, made) for kind in KINDS},
        }
        yield started
        pool.shutdown(cancel_futures=True)


def test_a_complete_distribution_is_written(tmp_path: Path) -> None:
    """`lossreg new my-losses` makes ./my-losses with metadata, import package, tests and README, and nothing else."""
    new("my-losses", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["my-losses"]
    assert files(tmp_path / "my-losses") == FILES


def test_the_output_lists_the_files_and_goes_on(tmp_path: Path) -> None:
    """The output has each file that was written, and the commands that install, use and test it."""
    lines = new("my-losses", cwd=tmp_path).splitlines()
    assert {line.strip() for line in lines} >= FILES
    assert [line.strip() for line in lines[-3:]] == [
        "pip install -e 'my-losses[test]'",
        "lossreg run --loss mine",
        "pytest my-losses",
    ]


def test_the_metadata_are_those_of_a_plugin(tmp_path: Path) -> None:
    """pyproject.toml requires lossreg, torch and Python 3.11, has an extra for tests and names the plugin."""
    new("My.Losses", cwd=tmp_path)
    content = tomllib.loads((tmp_path / "My.Losses" / "pyproject.toml").read_text(encoding="utf-8"))
    project = content["project"]
    assert (project["name"], project["requires-python"]) == ("My.Losses", ">=3.11")
    assert project["dependencies"] == [f"lossreg>={oldest(installed_version())}", "torch"]
    assert any(requirement.startswith("pytest") for requirement in project["optional-dependencies"]["test"])
    assert project["entry-points"] == {"lossreg": {"my_losses": "my_losses.plugin"}}
    assert not {"license", "license-files"} & project.keys()
    assert content["build-system"]["build-backend"] == "hatchling.build"


def installed_version() -> str:
    """The version of the installed lossreg."""
    import importlib.metadata

    return importlib.metadata.version("lossreg")


@for_each(
    ("version", "bound"),
    [("0.1.0", "0.1"), ("1.12.3", "1.12"), ("2.0", "2.0"), ("0.2.0.dev1", "0.2.0.dev1"), ("1.0rc1+gpu", "1.0rc1")],
)
def test_the_lower_bound_admits_the_version_that_wrote_it(version: str, bound: str) -> None:
    """The bound is major and minor version, or all of a version that comes before a release."""
    from packaging.specifiers import SpecifierSet

    assert oldest(version) == bound
    assert SpecifierSet(f">={bound}").contains(version.partition("+")[0], prereleases=True)


def test_a_family_name_is_no_part_of_the_plugin_s_name(tmp_path: Path) -> None:
    """`lossreg-focal` is imported as lossreg_focal, and its plugin, the first half of the full ids, is `focal`."""
    assert "lossreg run --loss focal\n" in new("lossreg-focal", "--component", "focal", cwd=tmp_path)
    folder = tmp_path / "lossreg-focal"
    content = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert content["project"]["entry-points"]["lossreg"] == {"focal": "lossreg_focal.plugin"}
    assert {"lossreg_focal/focal.py", "tests/test_focal.py"} <= files(folder)
    assert '"lossreg_focal.focal:FocalLoss"' in (folder / "lossreg_focal" / "plugin.py").read_text(encoding="utf-8")


@for_each("kind", KINDS)
def test_nothing_is_left_to_fill_in(made: Path, kind: str) -> None:
    """No placeholder of a template is left in any file."""
    folder = made / f"my-{kind}"
    left = {file for file in files(folder) if re.search(r"\$\w", (folder / file).read_text(encoding="utf-8"))}
    assert left == set()


@for_each("kind", KINDS)
def test_the_component_runs_by_name_once_installed(made: Path, jobs: dict[str, Future[Result]], kind: str) -> None:
    """After the installation `mine` trains by its short name, and the record has its full id and origin."""
    result = jobs["run"].result()
    assert (result.returncode, result.stderr) == (0, "")
    record = json.loads((made / "run" / "run.json").read_text(encoding="utf-8"))
    component = record["components"][FIELDS.get(kind, kind)]
    assert component["id"] == f"my_{kind}.mine"
    assert (component["distribution"], component["version"]) == (f"my-{kind}", "0.1.0")


@for_each("kind", KINDS)
def test_its_own_tests_and_its_doctest_pass(jobs: dict[str, Future[Result]], kind: str) -> None:
    """`pytest` in the new folder runs the tests and the example of the docstring, and all pass."""
    result = jobs[kind].result()
    assert result.returncode == 0, result.stdout
    tests = [line for line in result.stdout.splitlines() if "::" in line]
    assert [line for line in tests if " PASSED " not in line] == []
    assert len([line for line in tests if line.startswith(f"my_{kind}/mine.py::")]) == 1
    assert any("::test_lossreg_finds_it_by_name " in line for line in tests)


@pytest.mark.heavy
def test_mypy_finds_nothing(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """`mypy --strict` has nothing to say about any kind, tests included, and finds each wrong type beside them."""
    for kind in KINDS:
        new(f"my-{kind}", "--kind", kind, "--component", f"typed_{kind}", cwd=tmp_path)
    assert pytestconfig.cache is not None
    result = typed(tmp_path, pytestconfig.cache.mkdir("mypy"))
    *found, last = result.stdout.splitlines()
    wrong = [number for number, line in enumerate(WRONG.splitlines(), 1) if " = " in line]
    assert [line.split(": ")[:2] for line in found] == [[f"wrong.py:{number}", "error"] for number in wrong]
    assert last == f"Found {len(wrong)} errors in 1 file (checked {4 * len(KINDS) + 1} source files)"


def test_ruff_finds_nothing(tmp_path: Path) -> None:
    """`ruff check` with its default rules, and `ruff format`, have nothing to say about any kind."""
    for kind in KINDS:
        new(f"my-{kind}", "--kind", kind, cwd=tmp_path)
    for command in (["check"], ["format", "--check"]):
        result = child(sys.executable, "-m", "ruff", *command, "--no-cache", ".", cwd=tmp_path)
        assert result.returncode == 0, result.stdout


def test_ruff_finds_nothing_where_names_are_long(tmp_path: Path) -> None:
    """A long import is broken as formatters break it."""
    for kind in KINDS:
        name = f"a-distribution-of-a-very-long-name-for-a-{kind}"
        new(name, "--kind", kind, "--component", "a_component_of_a_very_long_name", cwd=tmp_path)
    result = child(sys.executable, "-m", "ruff", "check", "--no-cache", ".", cwd=tmp_path)
    assert result.returncode == 0, result.stdout


@for_each("kind", KINDS)
def test_the_docstring_has_every_section(made: Path, kind: str) -> None:
    """The example component's docstring names arguments, conditions, source and an example, and shapes it has."""
    text = (made / f"my-{kind}" / f"my_{kind}" / "mine.py").read_text(encoding="utf-8")
    sections = ["Args:", "Raises:", "Source:", "Example:", *(["Shape:"] if kind in ("loss", "model") else [])]
    assert [section for section in sections if f"    {section}\n" not in text] == []


def looked(jobs: dict[str, Future[Result]], kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The defaults in the table and those of the code."""
    result = jobs["look"].result()
    assert (result.returncode, result.stderr) == (0, "")
    found = {row[0]: row[1:] for row in map(json.loads, result.stdout.splitlines())}
    table, code = found[kind]
    return table, code


@for_each("kind", KINDS)
def test_the_record_has_the_factory_s_own_defaults(jobs: dict[str, Future[Result]], kind: str) -> None:
    """The defaults in the table are all that a user may set, with the values of the code."""
    table, code = looked(jobs, kind)
    code.pop("last_epoch", None)  # for those who go on from a checkpoint of their own
    assert table == code


@for_each("kind", KINDS)
def test_the_readme_sets_a_parameter_that_is_there(made: Path, jobs: dict[str, Future[Result]], kind: str) -> None:
    """The README sets a parameter that the component has, to another value than the default."""
    readme = (made / f"my-{kind}" / "README.md").read_text(encoding="utf-8")
    flag = FLAGS[kind]
    way = r'"mine\((\w+)=([\d.]+)\)"' if kind in ("metric", "observer") else rf"mine {flag}\.(\w+) ([\d.]+)"
    match = re.search(rf"^lossreg run {flag} {way}$", readme, re.MULTILINE)
    assert match is not None
    assert looked(jobs, kind)[0][match[1]] != float(match[2])


def test_an_editable_installation_works(tmp_path: Path) -> None:
    """`pip install -e` needs no more than hatchling, and a change of the code is seen at once."""
    new("my-losses", cwd=tmp_path)
    installed = child(*PIP, "--target", "site", "-e", "my-losses", cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    plugin = tmp_path / "my-losses" / "my_losses" / "plugin.py"
    plugin.write_text(plugin.read_text(encoding="utf-8").replace('"mine"', '"yours"'), encoding="utf-8")
    code = "import site; site.addsitedir('site'); import lossreg; print(lossreg.losses['yours'].id)"
    result = child(sys.executable, "-P", "-c", code, cwd=tmp_path)
    assert (result.stdout, result.stderr) == ("my_losses.yours\n", "")


def test_a_name_that_another_has_is_written_in_full(tmp_path: Path) -> None:
    """Where the built-ins have the short name, a warning says so; the output and the README have the full id."""
    result = lossreg("new", "my-losses", "--component", "dice", cwd=tmp_path)
    assert result.returncode == 0
    assert "the short name 'dice' means builtin.dice, which lossreg brings along and which wins" in result.stderr
    assert "yours is my_losses.dice" in result.stderr
    assert "lossreg run --loss my_losses.dice\n" in result.stdout
    assert "lossreg run --loss my_losses.dice\n" in (tmp_path / "my-losses" / "README.md").read_text(encoding="utf-8")


def test_the_directory_can_be_chosen(tmp_path: Path) -> None:
    """--directory names the folder itself, whose parents are made."""
    new("my-losses", "--directory", "packages/a loss", cwd=tmp_path)
    assert files(tmp_path / "packages" / "a loss") == FILES


def test_the_mode_of_the_folder_is_that_of_any_other(tmp_path: Path) -> None:
    """Whoever may read a new folder may read this one."""
    new("my-losses", cwd=tmp_path)
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "my-losses").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_it_imports_nothing_heavy(tmp_path: Path) -> None:
    """`lossreg new` works where torch and its like cannot be imported, and does not try to."""
    code = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "numpy", "sklearn", "matplotlib", "rich"):
            sys.stderr.write(f"imported: {name}\\n")
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocker())
from lossreg.cli.main import main
main()
"""
    result = child(sys.executable, "-c", code, "new", "my-losses", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_examples_in_the_help_work(lossreg_command: Command) -> None:
    """Each `lossreg new` in the help's examples ends well, and the first is the plain one."""
    text = lossreg_command("new", "--help").out
    examples = [re.split(r" {3,}", line.strip())[0] for line in text.splitlines() if line.startswith("    lossreg new")]
    assert examples[0] == "lossreg new my-losses"
    assert [line for line in examples if lossreg_command(*shlex.split(line)[1:]).code != 0] == []


def refused(command: Command, arguments: list[str], *parts: str) -> None:
    """Runs a wrong `lossreg new`: exit code 2, one message that has these parts, and nothing is written."""
    before = {path: path.read_bytes() if path.is_file() else None for path in Path.cwd().rglob("*")}
    outcome = command("new", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("lossreg: error: ")
    assert "Traceback" not in outcome.err
    assert [part for part in parts if part not in outcome.err] == [], outcome.err
    assert {path: path.read_bytes() if path.is_file() else None for path in Path.cwd().rglob("*")} == before


@for_each(
    ("name", "reason"),
    [
        ("", "write letters, digits"),
        ("my losses", "write letters, digits"),
        ("my/losses", "write letters, digits"),
        ("..", "write letters, digits"),
        ("my-losses-", "write letters, digits"),
        ("verlöste", "write letters, digits"),
        ("my-losses==1", "write letters, digits"),
        ("my-losses\n", "write letters, digits"),
        ("3d-losses", "imported as '3d_losses', which is not a Python identifier"),
        ("Class", "imported as 'class', which is a keyword"),
        ("JSON", "imported as 'json', which is a module of Python's own"),
        ("lossreg", "the name 'lossreg' is reserved"),
        ("LossReg", "the name 'lossreg' is reserved"),
        ("builtin", "the name 'builtin' is reserved"),
        ("lossreg-builtin", "the name 'builtin' is reserved"),
        ("Lossreg._builtin", "the name 'builtin' is reserved"),
        ("local", "the name 'local' is reserved"),
        ("lossreg-local", "the name 'local' is reserved"),
        ("lossreg-epoch", "its plugin is named 'epoch', which is a word of the language"),
        ("lossreg-3d", "its plugin is named '3d'"),
        ("tests", "imported as 'tests', which is a folder with a meaning of its own"),
        ("build", "imported as 'build', which is a folder with a meaning of its own"),
        ("torch", "is installed and would be replaced"),
        ("Scikit_Learn", "is installed and would be replaced"),
        ("sklearn", "imported as 'sklearn', which is there: "),
    ],
)
def test_a_distribution_s_name_is_checked(lossreg_command: Command, name: str, reason: str) -> None:
    """A name that is none, or that Python, lossreg or something installed has, is refused; nothing is written."""
    refused(lossreg_command, [name], f"{name!r} cannot name a distribution for lossreg: ", reason)


@for_each_apart("name", ["lossreg-focal", "A", "a.b-c_d", "my--losses", "focal2"])
def test_a_sensible_name_is_allowed(lossreg_command: Command, name: str) -> None:
    """What PEP 508 and Python allow, and nobody has, is a name."""
    assert lossreg_command("new", name).code == 0
    assert Path(name, "pyproject.toml").exists()


@for_each_apart(
    ("component", "reason"),
    [
        ("", "a lower-case Python identifier"),
        ("Mine", "a lower-case Python identifier"),
        ("log-cosh", "a lower-case Python identifier"),
        ("../mine", "a lower-case Python identifier"),
        ("lambda", "a word of the language"),
        ("none", "a word of the language"),
        ("plugin", "plugin.py is a file with a meaning of its own"),
        ("conftest", "conftest.py is a file with a meaning of its own"),
    ],
)
def test_a_component_s_name_is_checked(lossreg_command: Command, component: str, reason: str) -> None:
    """A component has a name that lossreg can look up and a file of its own."""
    arguments = ["my-losses", "--component", component]
    refused(lossreg_command, arguments, f"the component (--component) is named {component!r}", reason)


def test_an_unknown_kind_is_an_error(lossreg_command: Command) -> None:
    """A word that is no kind is refused with the one that was meant."""
    refused(lossreg_command, ["my-x", "--kind", "optimiser"], "no kind 'optimiser'. Did you mean 'optimizer'?", "model")


def test_a_missing_name_is_an_error(lossreg_command: Command) -> None:
    """Without a name nothing is written."""
    refused(lossreg_command, [], "'NAME'", "lossreg new --help")


def test_a_plugin_s_name_that_another_distribution_has_is_refused(made: Path, tmp_path: Path) -> None:
    """Of two plugins of one name neither is loaded, so a second is not written."""
    result = lossreg("new", "lossreg-my-loss", cwd=tmp_path, path=made / "site")
    assert result.returncode == 2
    assert "its plugin would be named 'my_loss', as that of my-loss 0.1.0" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_installed_can_be_written_again(made: Path, tmp_path: Path) -> None:
    """A plugin's distribution may be started afresh elsewhere; its own component does not count as another's."""
    result = lossreg("new", "My_Loss", cwd=tmp_path, path=made / "site")
    assert (result.returncode, result.stderr) == (0, "")
    assert "lossreg run --loss mine\n" in result.stdout


@for_each_apart("there", ["file", "folder", "empty folder", "link to nothing"])
def test_what_is_there_is_left_as_it_is(lossreg_command: Command, there: str) -> None:
    """A file, a folder, even an empty one, or a link of that name is an error, and stays."""
    target = Path("my-losses")
    match there:
        case "file":
            target.write_text("mine")
        case "link to nothing":
            target.symlink_to("nowhere")
        case _:
            target.mkdir()
    if there == "folder":
        (target / "README.md").write_text("mine")
    refused(lossreg_command, ["my-losses"], "my-losses exists already", "--directory")


@for_each_apart("inside", [False, True])
def test_a_plugin_that_is_there_is_told_how_to_offer_more(lossreg_command: Command, inside: bool) -> None:
    """On its folder and in it: the hook, the row, and in which module; --directory writes all the same."""
    assert lossreg_command("new", "my-losses").code == 0
    if inside:
        os.chdir("my-losses")
    refused(
        lossreg_command, ["my-losses", "--kind", "optimizer", "--component", "lion"],
        "in my_losses.plugin a function lossreg_optimizers, marked @lossreg.hookimpl",
        'lossreg.Optimizer("lion", "my_losses.MODULE:LionOptimizer", "SUMMARY")',
    )  # fmt: skip
    assert lossreg_command("new", "other", "--directory", "elsewhere").code == 0


@for_each_apart("target", [".", "..", "/"])
def test_no_folder_that_is_in_use_is_taken(lossreg_command: Command, target: str) -> None:
    """--directory names a folder that is to be made."""
    refused(lossreg_command, ["my-losses", "--directory", target], f"{target} exists already")


def test_an_empty_directory_option_is_an_error(lossreg_command: Command) -> None:
    """--directory "" is no folder."""
    refused(lossreg_command, ["my-losses", "--directory", ""], "--directory is empty")


def test_a_folder_below_a_file_is_an_error(lossreg_command: Command) -> None:
    """Where a parent is a file, the message has the system's reason."""
    Path("file").write_text("mine")
    refused(lossreg_command, ["my-losses", "--directory", "file/a/b"], "file/a/b cannot be written: Not a directory")


def test_a_name_that_is_too_long_for_the_disk_is_an_error(lossreg_command: Command) -> None:
    """What the file system refuses is an error, and the parents that were made are removed."""
    name = "a" * 300
    refused(lossreg_command, [name, "--directory", f"new/{name}"], "cannot be written: File name too long")


@pytest.mark.parametrize("target", ["my-losses", "new/parents/my-losses"])
def test_a_failure_half_way_leaves_nothing(tmp_path: Path, target: str) -> None:
    """When the disk takes the first files and no more, neither files nor folders are left, and the reason is said."""
    result = subprocess.run(
        [sys.executable, "-m", "lossreg", "new", "my-losses", "--directory", target],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)),  # bytes; pyproject.toml has fewer
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert f"lossreg: error: {target} cannot be written: File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
