"""Which plugins load: flags, environment, project file; files without packaging; the doctor."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lossreg
from lossreg.plugins.requirements import unmet_requirement

MINE = '''
import torch, lossreg

@lossreg.losses.register("mine", target="dense")
class Mine(torch.nn.Module):
    """The mean of a power of the distance."""

    def __init__(self, power: float = 2.0):
        super().__init__()
        self.power = power

    def forward(self, a, b):
        return (a - b).abs().pow(self.power).mean()
'''
TINY = ("--epochs", "1", "--limit-train", "64", "--limit-test", "32", "--quiet")

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith, Install


def states(command_with: CommandWith, *arguments: str, path: Path, cwd: Path, **variables: str) -> dict[str, str]:
    """The state of each plugin, by name."""
    result = command_with("plugins", "--json", *arguments, path=path, cwd=cwd, **variables)
    assert result.returncode == 0, result.stderr
    return {row["name"]: row["state"] for row in json.loads(result.stdout)}


@pytest.mark.parametrize(
    ("arguments", "variables", "good", "rival"),
    [
        ((), {}, "loaded", "loaded"),
        (("--no-plugins",), {}, "blocked", "blocked"),
        (("-p", "no:good"), {}, "blocked", "loaded"),
        (("-p", "no:Rival-Dice"), {}, "loaded", "blocked"),
        ((), {"LOSSREG_PLUGINS": "good"}, "loaded", "blocked"),
        ((), {"LOSSREG_PLUGINS": ""}, "blocked", "blocked"),
        (("-p", "no:good"), {"LOSSREG_PLUGINS": "good, rival"}, "blocked", "loaded"),
        (("--no-plugins",), {"LOSSREG_PLUGINS": "good"}, "blocked", "blocked"),
    ],
)
def test_flags_and_environment_say_which_plugins_load(
    install: Install,
    command_with: CommandWith,
    tmp_path: Path,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    good: str,
    rival: str,
) -> None:
    """Flags and the environment block and allow plugins by name or distribution; the built-ins always load."""
    site = install("good-losses", "rival-dice")
    found = states(command_with, *arguments, path=site, cwd=tmp_path, **variables)
    assert found == {"builtin": "loaded", "good": good, "rival": rival}


@pytest.mark.parametrize("before", [True, False])
def test_the_flags_work_before_and_after_the_subcommand(
    install: Install, command_with: CommandWith, tmp_path: Path, before: bool
) -> None:
    """`-p`, `--no-plugins` and `--strict` are taken in both places."""
    site = install("good-losses", "bad-import")
    flags, words = ["-p", "no:broken", "--strict"], ["list", "loss", "focal"]
    result = command_with(*([*flags, *words] if before else [*words, *flags]), path=site, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "focal" in result.stdout


def test_blocking_what_is_not_there_is_an_error(command_with: CommandWith, tmp_path: Path) -> None:
    """A flag that blocks a plugin of an unknown name would have no effect, and is refused."""
    result = command_with("list", "-p", "no:nobody", path=tmp_path, cwd=tmp_path)
    assert result.returncode == 2
    assert "there is no plugin 'nobody' to block" in result.stderr


def test_a_blocked_plugin_is_not_imported(install: Install, command_with: CommandWith, tmp_path: Path) -> None:
    """A plugin whose import ends the process is harmless when it is blocked, and says nothing."""
    result = command_with("list", "-p", "no:exit", path=install("bad-exit"), cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("file", ["lossreg.toml", "pyproject.toml"])
def test_the_nearest_project_file_counts(
    install: Install, command_with: CommandWith, tmp_path: Path, file: str
) -> None:
    """A project's file found upward blocks plugins; the environment goes before it."""
    head = "" if file == "lossreg.toml" else "[tool.lossreg]\n"
    (tmp_path / file).write_text(f'{head}plugins = ["rival"]\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (below / "pyproject.toml").write_text("[project]\nname = 'unrelated'\n")
    site = install("good-losses", "rival-dice")
    found = states(command_with, path=site, cwd=below)
    assert found == {"builtin": "loaded", "good": "blocked", "rival": "loaded"}
    found = states(command_with, path=site, cwd=below, LOSSREG_PLUGINS="good")
    assert found == {"builtin": "loaded", "good": "loaded", "rival": "blocked"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("plugin = ['a']", "no key 'plugin'. Did you mean 'plugins'"),
        ("local = ['./evil.py']", "no key 'local'"),
        ("block = 'good'", "block is a list"),
        ("strict = 'yes'", "strict is true or false"),
        ("strict = ", "is not TOML"),
        ("plugins = ['nobody']", "no plugin 'nobody' to allow"),
        ("block = ['builtin']", "cannot be blocked"),
    ],
)
def test_a_project_file_with_a_mistake_is_an_error(
    command_with: CommandWith, tmp_path: Path, content: str, said: str
) -> None:
    """A wrong key or value in a project's file is told with exit code 2; no key names code to load."""
    (tmp_path / "lossreg.toml").write_text(content)
    result = command_with("list", path=tmp_path, cwd=tmp_path)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("how", ["flag", "environment", "file"])
def test_strict_makes_a_fault_an_error(install: Install, command_with: CommandWith, tmp_path: Path, how: str) -> None:
    """Where it is strict, a plugin that fails ends the command with 2 and its reason."""
    if how == "file":
        (tmp_path / "lossreg.toml").write_text("strict = true\n")
    variables = {"LOSSREG_STRICT": "1"} if how == "environment" else {}
    flags = ["--strict"] if how == "flag" else []
    result = command_with("list", *flags, path=install("bad-import"), cwd=tmp_path, **variables)
    assert result.returncode == 2
    assert "No module named 'a_module_that_nobody_has'" in result.stderr
    assert result.stdout == ""


def test_strict_goes_for_run_hooks(install: Install, command_with: CommandWith, tmp_path: Path) -> None:
    """Where it is strict, a run hook that raises fails the run."""
    result = command_with("run", *TINY, "--strict", path=install("bad-run-hook"), cwd=tmp_path)
    assert result.returncode == 1
    assert "ValueError: I do not like this epoch" in result.stderr


def test_a_plugin_for_another_lossreg_is_not_imported(
    install: Install, command_with: CommandWith, tmp_path: Path
) -> None:
    """A distribution that requires another lossreg is refused with a sentence before it is imported."""
    result = command_with("plugins", "--json", path=install("needs-newer"), cwd=tmp_path)
    row = {row["name"]: row for row in json.loads(result.stdout)}["newer"]
    assert row["state"] == "incompatible"
    assert row["problem"] == f"it requires lossreg>=99; lossreg {lossreg.__version__} is installed"


@pytest.mark.parametrize(
    ("requirement", "installed", "met"),
    [
        ("lossreg", "0.1.0", True),
        ("lossreg>=0.1", "0.1.0", True),
        ("lossreg>=0.1.0.0", "0.1", True),
        ("lossreg >=0.2", "0.1.9", False),
        ("lossreg (>=0.1,<1)", "0.9", True),
        ("lossreg<1,>=0.1", "1.0", False),
        ("lossreg>=0.10", "0.9", False),
        ("lossreg~=0.1.0", "0.1.7", True),
        ("lossreg~=0.1.0", "0.2", False),
        ("lossreg==0.1.*", "0.1.7", True),
        ("lossreg!=0.1.7", "0.1.7", False),
        ("lossreg>=2 ; python_version < '3'", "0.1.0", True),
        ("lossreg>=2 ; python_version > '3'", "0.1.0", False),
        ("lossreg>=0.2", "0.2.dev1", False),
    ],
)
def test_requirements_are_judged_as_packaging_judges_them(requirement: str, installed: str, met: bool) -> None:
    """What a distribution requires of lossreg means what it means to pip."""
    from packaging.requirements import Requirement

    parsed = Requirement(requirement)
    applies = parsed.marker is None or parsed.marker.evaluate()
    assert met == (not applies or parsed.specifier.contains(installed, prereleases=True))
    assert (unmet_requirement((requirement,), installed) is None) == met


def test_aliases_lead_to_one_component(install: Install, command_with: CommandWith, tmp_path: Path) -> None:
    """An alias, short or with its plugin, leads to the component, which is listed once."""
    site = install("old-names")
    for name in ("huber", "robust", "Smooth-L1", "old.robust"):
        shown = command_with("show", "loss", name, "--json", path=site, cwd=tmp_path)
        assert json.loads(shown.stdout)["id"] == "old.huber"
    listed = command_with("list", "loss", "--of", "old", "--json", path=site, cwd=tmp_path)
    assert [row["id"] for row in json.loads(listed.stdout)] == ["old.huber", "old.hubert"]
    assert listed.stderr == ""


def test_a_deprecated_component_works_and_warns_once(
    install: Install, command_with: CommandWith, tmp_path: Path
) -> None:
    """A deprecated name trains, with one line that says what to use."""
    result = command_with("run", "--loss", "hubert", *TINY, path=install("old-names"), cwd=tmp_path)
    assert result.returncode == 0
    (line,) = result.stderr.splitlines()
    assert "loss old.hubert is deprecated: use huber" in line


def test_a_built_in_s_name_that_a_plugin_has_too_is_noted(
    install: Install, command_with: CommandWith, tmp_path: Path
) -> None:
    """A run that names `dice` where a plugin has one, too, says which it takes."""
    result = command_with("run", "--loss", "dice", *TINY, path=install("rival-dice"), cwd=tmp_path)
    assert "dice is builtin.dice, not rival.dice (rival-dice 1.0)" in result.stderr


def test_a_plugin_that_registers_and_looks_up_while_it_is_imported(
    install: Install, command_with: CommandWith, tmp_path: Path
) -> None:
    """Looking up and registering during the import of a plugin does not set off discovery again."""
    result = command_with("list", "loss", "--json", path=install("looks-up"), cwd=tmp_path)
    rows = {row["id"]: row for row in json.loads(result.stdout)}
    assert rows["local.early"]["summary"] == "dice was there: True"
    assert "looks.late" in rows


def test_a_file_is_a_plugin_for_once(command_with: CommandWith, tmp_path: Path) -> None:
    """`-p ./file.py` offers what the file registers; the record keeps its path and hash, and repeats with it only."""
    source = tmp_path / "my_losses.py"
    source.write_text(MINE)
    run = ["run", "-p", "./my_losses.py", "--loss", "mine(power=1.5)", *TINY, "--out", "out"]
    result = command_with(*run, path=tmp_path / "none", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    origin = record["components"]["loss"]
    assert origin["id"] == "local.mine"
    assert (origin["file"], origin["sha256"]) == (str(source), hashlib.sha256(source.read_bytes()).hexdigest())
    without = command_with("run", "-c", "out", "--out", "again", path=tmp_path / "none", cwd=tmp_path)
    assert without.returncode == 2
    assert f"its loss local.mine is missing; it came from the file {source} (-p {source})" in without.stderr
    again = ["run", "-c", "out", "-p", str(source), "--quiet", "--out", "again"]
    assert command_with(*again, path=tmp_path / "none", cwd=tmp_path).returncode == 0
    source.write_text(MINE + "\n# changed\n")
    changed = command_with("plan", "-c", "out", "-p", str(source), path=tmp_path / "none", cwd=tmp_path)
    assert "has changed since" in changed.stderr


def test_a_module_and_a_file_with_hooks_serve(command_with: CommandWith, tmp_path: Path) -> None:
    """`-p package.module`, and a file with hook functions, offer their components as `local.<name>`."""
    hooks = (
        "import lossreg as lr\n@lr.hookimpl\ndef lossreg_losses():\n"
        "    return [lr.Loss('hooked', 'torch.nn:L1Loss', 'A loss', target='dense')]\n"
    )
    (tmp_path / "hooked.py").write_text(hooks)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text(MINE)
    files = ["-p", "./hooked.py", "-p", "package.module"]
    result = command_with("list", "loss", "--of", "local", "--json", *files, path=tmp_path, cwd=tmp_path)
    assert [row["id"] for row in json.loads(result.stdout)] == ["local.hooked", "local.mine"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nowhere.py", None, "the file does not exist"),
        ("broken.py", "import lossreg\n1 / 0\n", "ZeroDivisionError: division by zero (line 2)"),
        ("unfinished.py", "def f(:\n", "SyntaxError"),
        ("below/json.py", "x = 1\n", "another module is called 'json'"),
        ("my-losses.py", "x = 1\n", "'my-losses' is not the name of a module"),
        ("hook.py", "def lossreg_loses(): return []\n", "there is no hook 'lossreg_loses'"),
        ("ends.py", "import sys\nsys.exit(0)\n", "SystemExit: 0"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_an_error(
    command_with: CommandWith, tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    """A file that was asked for and does not load ends the command with 2, and says why and where."""
    if content is not None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    result = command_with("list", "-p", f"./{name}", path=tmp_path / "none", cwd=tmp_path)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_data_set_of_a_file_works_in_spawned_workers(tmp_path: Path) -> None:
    """A map-style data set from a `-p` file is read by DataLoader workers that are spawned."""
    (tmp_path / "my_data.py").write_text(
        "import torch, lossreg\n"
        "class Squares(torch.utils.data.Dataset):\n"
        "    def __len__(self): return 6\n"
        "    def __getitem__(self, i): return torch.tensor([float(i)]), torch.tensor([float(i * i)])\n"
        "@lossreg.datasets.register('squares', model='mlp')\n"
        "def squares():\n"
        "    return lossreg.Data(Squares(), Squares(), task='regression', in_shape=(1,), out_features=1)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(
        "import lossreg, torch\n"
        "if __name__ == '__main__':\n"
        f"    registries = lossreg.load_registries(local=[{str(tmp_path / 'my_data.py')!r}])\n"
        "    data = registries.datasets.build('squares')\n"
        "    loader = torch.utils.data.DataLoader(data.train, 3, num_workers=1, multiprocessing_context='spawn')\n"
        "    print(torch.cat([y for _, y in loader]).flatten().tolist())\n"
    )
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, cwd="/")
    assert result.stdout.strip() == str([float(i * i) for i in range(6)]), result.stderr


def test_two_functions_under_one_name_are_an_error() -> None:
    """A second, different function under a registered name is refused; the same one again replaces it."""
    registries = lossreg.load_registries(allow=[])

    def make() -> None: ...

    def other() -> None: ...

    registries.models.register("thing")(make)
    registries.models.register("thing", summary="again")(make)
    assert registries.models["thing"].component.summary == "again"
    with pytest.raises(lossreg.ComponentError, match=r"local\.thing is registered already"):
        registries.models.register("thing")(other)


def test_registries_and_specs_survive_pickling() -> None:
    """A registry that is pickled builds the same components, its own registrations among them."""
    registries = lossreg.load_registries(allow=[])
    registries.losses.register("text", "torch.nn:L1Loss", target="dense")
    copy = pickle.loads(pickle.dumps(registries.losses))  # noqa: S301  # our own bytes
    assert list(copy) == list(registries.losses)
    assert pickle.loads(pickle.dumps(lossreg.losses)) is lossreg.losses  # noqa: S301  # our own bytes
    spec = pickle.loads(pickle.dumps(lossreg.ComponentSpec.parse("dice(smooth=2.0)")))  # noqa: S301  # our own bytes
    assert copy.build(spec).smooth == 2.0


def test_a_spawned_process_builds_the_same(tmp_path: Path) -> None:
    """A spawned process that gets a registry and a spec builds what the parent builds."""
    script = tmp_path / "script.py"
    script.write_text(
        "import lossreg, multiprocessing\n"
        "def work(registry, spec, queue): queue.put(repr(registry.build(spec)))\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    queue, spec = context.Queue(), lossreg.ComponentSpec.parse('dice(smooth=2.0)')\n"
        "    child = context.Process(target=work, args=(lossreg.losses, spec, queue))\n"
        "    child.start(); built = queue.get(timeout=60); child.join()\n"
        "    assert built == repr(lossreg.losses.build(spec)), built\n"
        "    print(built)\n"
    )
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "DiceLoss(smooth=2.0, reduction='mean')", result.stderr


@pytest.mark.parametrize(
    ("distribution", "name", "said"),
    [
        ("bad-import", "broken", ["Traceback (most recent call last)", "plugin.py", "a_module_that_nobody_has"]),
        ("bad-misspelt", "misspelt", ["there is no hook 'lossreg_loses'"]),
        ("bad-arguments", "arguments", ["takes registry, which the hook does not give"]),
        ("bad-factory", "factory", ["'lost' does not exist: bad_factory.plugin:Nowhere"]),
        ("bad-factory-late", "factory-late", ["factory_late.lost", "bad_factory_late.loss:Loss"]),
        ("bad-exit", "exit", ["SystemExit: 3"]),
        ("bad-nothing", "nothing", ["no function is marked"]),
        ("needs-thing", "thing", ["a-distribution-that-nobody-has>=2: not installed"]),
        ("needs-newer", "newer", ["requires lossreg>=99"]),
        ("claims-builtin", "claims-builtin", ["reserved for lossreg itself"]),
    ],
)
def test_the_doctor_says_what_is_wrong(
    install: Install, command_with: CommandWith, tmp_path: Path, distribution: str, name: str, said: list[str]
) -> None:
    """`lossreg plugins doctor` shows what is wrong with a plugin, and how to remove it; its exit code is 1."""
    result = command_with("plugins", "doctor", name, path=install(distribution), cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    for fragment in said:
        assert fragment in result.stdout
    assert f"-m pip uninstall {distribution}" in result.stdout


def test_the_doctor_finds_nothing_wrong_with_a_good_plugin(
    install: Install, command_with: CommandWith, tmp_path: Path
) -> None:
    """A plugin in order has exit code 0, and every hook and component is well."""
    result = command_with("plugins", "doctor", "all", "--json", path=install("all-kinds"), cwd=tmp_path)
    assert result.returncode == 0
    (finding,) = json.loads(result.stdout)
    assert [part["problem"] for part in (*finding["hooks"], *finding["components"])] == [None] * 11


def test_the_doctor_knows_no_stranger(command_with: CommandWith, tmp_path: Path) -> None:
    """A name that no plugin has is an error with exit code 2."""
    result = command_with("plugins", "doctor", "builtn", path=tmp_path, cwd=tmp_path)
    assert result.returncode == 2
    assert "there is no plugin 'builtn'. Did you mean 'builtin'?" in result.stderr


def test_a_factory_in_text_has_the_file_that_registers_it(tmp_path: Path) -> None:
    """A component that a -p file registers by the text of somebody else's factory comes from that file."""
    file = tmp_path / "their_schedules.py"
    file.write_text(
        "import lossreg\n"
        'lossreg.schedulers.register("cosine", "torch.optim.lr_scheduler:CosineAnnealingLR", summary="Cosine")\n'
    )
    provenance = lossreg.load_registries(local=[str(file)]).schedulers["cosine"].provenance
    assert provenance.file == str(file)
    assert provenance.sha256
