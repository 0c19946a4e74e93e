"""Wrong inputs of the command line: exit code 2, one message that says what to do, and nothing left behind.

Each case names what the message must contain: who complains, what was written, what to do.
"""

from __future__ import annotations

import json
import shlex
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lossreg
from tests.table import for_each, for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command, Outcome

TINY = ("--epochs", "1", "--limit-train", "64", "--limit-test", "32")
LAMBDA = "--sched lambda_lr --sched.lr_lambda"


def tree(root: Path) -> dict[str, bytes | None]:
    """Every path below `root`, with the content of files."""
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


def refused(command: Command, line: str, *parts: str) -> Outcome:
    """Runs a wrong command line, and checks that it is refused with a message that has these parts."""
    before = tree(Path.cwd())
    outcome = command(*shlex.split(line))
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    assert outcome.err.startswith("lossreg: error: ")
    assert outcome.err.count("lossreg: error: ") == 1
    assert "Traceback" not in outcome.err
    assert [part for part in parts if part not in outcome.err] == [], outcome.err
    assert tree(Path.cwd()) == before
    return outcome


KINDS = "loss, optimizer, scheduler, model, dataset, metric, observer"


@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("--loss dise", "no loss named 'dise'. Did you mean 'dice'"),
        ("--opt sdg", "no optimizer named 'sdg'. Did you mean 'sgd'"),
        ("--sched lamda_lr", "no scheduler named 'lamda_lr'. Did you mean 'lambda_lr'"),
        ("--model mnist_cn", "no model named 'mnist_cn'. Did you mean 'mnist_cnn'"),
        ("--data digit", "no dataset named 'digit'. Did you mean 'digits'"),
        ("--loss builtin.dise", "no loss named 'builtin.dise'. Did you mean 'builtin.dice'"),
        ("--loss 'dise(smooth=1)'", "no loss named 'dise'. Did you mean 'dice'"),
        ("--loss dise --loss.smooth 1", "no loss named 'dise'. Did you mean 'dice'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_one_that_was_meant(
    lossreg_command: Command, verb: str, written: str, meant: str
) -> None:
    """An unknown name of any kind is refused, with the name that was probably meant and the way to see all."""
    refused(lossreg_command, f"{verb} {written}", meant, f"(lossreg list {meant.split()[1]})")


@for_each_apart(
    ("line", "what", "instead"),
    [
        ("run --loss sgd", "no loss named 'sgd'", "optimizer 'sgd' exists"),
        ("run --opt dice", "no optimizer named 'dice'", "loss 'dice' exists"),
        ("run --sched adam", "no scheduler named 'adam'", "optimizer 'adam' exists"),
        ("run --model digits", "no model named 'digits'", "dataset 'digits' exists"),
        ("plan --data mnist_cnn", "no dataset named 'mnist_cnn'", "model 'mnist_cnn' exists"),
        ("show loss sgd", "no loss named 'sgd'", "optimizer 'sgd' exists"),
    ],
)
def test_a_name_of_another_kind_is_refused_with_its_kind(
    lossreg_command: Command, line: str, what: str, instead: str
) -> None:
    """A name that another kind has is refused, and the message says which kind has it."""
    refused(lossreg_command, line, what, instead)


@for_each_apart("line", ["run --opt none", "run --data none", "plan --opt none"])
def test_none_names_no_component(lossreg_command: Command, line: str) -> None:
    """The word `none` is refused where a run cannot do without the component."""
    refused(lossreg_command, line, "'none'", "(lossreg list ")


@for_each(
    ("line", "parts"),
    [
        ("run --loss 'dice(smoth=1)'", ("dice has no parameter 'smoth'", "'smooth'", "smooth: float = 1e-05")),
        ("run --loss dice --loss.smoth 1", ("dice has no parameter 'smoth'", "'smooth'", "smooth: float = 1e-05")),
        ("run --opt 'sgd(momentun=0)'", ("sgd has no parameter 'momentun'", "'momentum'", "momentum: float = 0.9")),
        ("run --opt.momentun 0", ("sgd has no parameter 'momentun'", "'momentum'", "momentum: float = 0.9")),
        (f"run {LAMBDA} 1 --sched.last_epok 3", ("lambda_lr has no parameter 'last_epok'", "'last_epoch'")),
        ("run --model.num_clases 10", ("mnist_cnn has no parameter 'num_clases'", "'num_classes'")),
        ("run --data.rooot x", ("digits has no parameter 'rooot'", "It takes none")),
        ("run --data mnist --data.rooot x", ("mnist has no parameter 'rooot'", "'root'")),
        ("run --opt.params 1", ("sgd has no parameter 'params'", "lr: ")),
        ("plan --opt.momentun 0", ("sgd has no parameter 'momentun'", "'momentum'", "momentum: float = 0.9")),
    ],
)
def test_an_unknown_parameter_is_refused_with_the_one_that_was_meant(
    lossreg_command: Command, line: str, parts: tuple[str, ...]
) -> None:
    """An unknown parameter is refused with the one that was probably meant, and with all that there are."""
    refused(lossreg_command, line, *parts)


@for_each(
    ("line", "parts"),
    [
        ("run --opt \"sgd(lr='fast')\"", ("sgd", "lr='fast'", "float")),
        ("run --opt.lr fast", ("sgd", "lr='fast'", "float")),
        ("run --opt.lr=", ("sgd", "lr=''", "float")),
        ("run --opt 'sgd(lr=True)'", ("sgd", "lr=True", "float")),
        ("run --opt.lr true", ("sgd", "lr=True", "float")),
        ("run --opt.lr none", ("sgd", "lr=None", "float")),
        ("run --opt 'sgd(nesterov=1)'", ("sgd", "nesterov=1", "bool")),
        ("run --opt.nesterov 1", ("sgd", "nesterov=1", "bool")),
        ("run --opt.nesterov yes", ("sgd", "nesterov='yes'", "bool")),
        ("run --loss 'dice(reduction=1)'", ("dice", "reduction=1", "'mean', 'sum', 'none'")),
        ("run --loss dice --loss.reduction median", ("dice", "reduction='median'", "'mean', 'sum', 'none'")),
        ("run --loss 'l1(reduction=1)'", ("l1", "reduction=1", "str")),
        ("run --model mlp --model.hidden 64", ("mlp", "hidden=64", "Sequence[int]")),
        ("run --model 'mlp(hidden=[1.5])'", ("mlp", "hidden=[1.5]", "Sequence[int]")),
        ("run --model.num_classes 10.0", ("mnist_cnn", "num_classes=10.0", "int")),
        ("run --opt adam --opt.betas 0.9", ("adam", "betas=0.9", "tuple[")),
        ("run --opt adam --opt.betas '[0.9, nan]'", ("adam", "betas", "[0.9, nan]", "NaN")),
        ("run --opt 'adam(betas=[0.9])'", ("adam", "betas=[0.9]", "tuple[")),
        ("run --opt 'sgd(lr=fast)'", ("sgd", "lr=fast", "float")),
        ("plan --opt.lr fast", ("sgd", "lr='fast'", "float")),
    ],
)
def test_a_value_of_a_wrong_type_is_refused_with_the_type(
    lossreg_command: Command, line: str, parts: tuple[str, ...]
) -> None:
    """A value that its parameter's type does not take is refused with component, parameter, value and type."""
    refused(lossreg_command, line, *parts)


@for_each_apart("line", ["run --opt.lr fast", "run --opt \"sgd(lr='fast')\"", "plan --opt.lr true"])
def test_the_refusal_of_a_value_shows_no_default_that_does_not_hold(lossreg_command: Command, line: str) -> None:
    """The message about a wrong learning rate does not show torch's default (0.001), since lossreg's is 0.01."""
    assert "0.001" not in refused(lossreg_command, line, "sgd").err


@for_each_apart(
    ("line", "quoted"),
    [
        ("run --loss 'dice(reduction=sum)'", "reduction='sum'"),
        ("run --loss 'l1(reduction=sum)'", "reduction='sum'"),
        ("plan --loss 'cross_entropy(reduction=sum)'", "reduction='sum'"),
    ],
)
def test_an_unquoted_word_in_the_call_form_is_refused_with_its_quoted_form(
    lossreg_command: Command, line: str, quoted: str
) -> None:
    """A bare word where text belongs is refused, and the message shows how to quote it."""
    refused(lossreg_command, line, "reduction=sum", "text is quoted", quoted)


@for_each_apart(
    "line",
    [
        "run --opt 'sgd(lr=nan)'",
        "run --opt 'sgd(lr=-NaN)'",
        "run --opt.lr nan",
        "run --opt.lr=-nan",
        "plan --opt.lr nan",
    ],
)
def test_nan_is_refused_with_the_parameter(lossreg_command: Command, line: str) -> None:
    """NaN is refused in either form, and the message names the parameter that it was for."""
    outcome = refused(lossreg_command, line, "NaN, which is not a value of a parameter")
    assert "lr" in outcome.err


@for_each_apart(
    ("line", "parts"),
    [
        ("run --loss 'dice(smooth=1)' --loss.smooth 2", ("--loss.smooth", "smooth of dice is given twice")),
        ("run --opt.lr 1 --opt.lr 2", ("--opt.lr", "lr of sgd is given twice")),
        ("run --opt.lr 1 --optimizer.lr 1", ("--optimizer.lr", "lr of sgd is given twice")),
        ("run --opt.lr=1 --opt.lr=1", ("--opt.lr", "lr of sgd is given twice")),
        ("run --opt adam --opt.weight-decay 1 --opt.weight_decay 1", ("weight_decay of adam is given twice",)),
        ("run --opt 'sgd(lr=1, lr=2)'", ("'sgd(lr=1, lr=2)'", "lr is given twice")),
        ("plan --loss 'dice(smooth=1)' --loss.smooth 2", ("--loss.smooth", "smooth of dice is given twice")),
    ],
)
def test_a_parameter_twice_is_refused(lossreg_command: Command, line: str, parts: tuple[str, ...]) -> None:
    """The same parameter twice on the command line is refused, even if the values are equal."""
    refused(lossreg_command, line, *parts)


@for_each_apart(
    ("line", "flag"),
    [
        ("run --epochs 1 --epochs 2", "--epochs"),
        ("run --epochs 1 --epochs=1", "--epochs"),
        ("run --opt sgd --optimizer adam", "--opt"),
        ("run --data digits --dataset digits", "--data"),
        ("run --loss dice --seed 1 --loss l1", "--loss"),
        ("run -c a.toml --config b.toml", "--config"),
        ("run --out a --out b", "--out"),
        ("plan --device cpu --device cpu", "--device"),
    ],
)
def test_an_option_twice_is_refused(lossreg_command: Command, line: str, flag: str) -> None:
    """The same option twice is refused, under either of its names."""
    refused(lossreg_command, line, flag, "is given twice")


@for_each_apart(
    ("line", "flag"),
    [
        ("run --opt.lr", "--opt.lr needs a value"),
        ("run --loss dice --loss.smooth", "--loss.smooth needs a value"),
        ("run --epochs", "'--epochs' requires an argument"),
        ("run --loss", "'--loss' requires an argument"),
        ("plan --opt.lr", "--opt.lr needs a value"),
    ],
)
def test_an_option_without_its_value_is_refused(lossreg_command: Command, line: str, flag: str) -> None:
    """An option at the end of the line that needs a value is refused by its name."""
    refused(lossreg_command, line, flag)


@for_each_apart(
    ("line", "parts"),
    [
        ("run --epoch 1", ("'--epoch'", "'--epochs'")),
        ("run --batchsize 8", ("'--batchsize'", "'--batch-size'")),
        ("run --los dice", ("'--los'", "'--loss'")),
        ("run --foo.bar 1", ("--foo.bar", "there is no component --foo")),
        ("plan --epoch 1", ("'--epoch'", "'--epochs'")),
        ("plan --out x", ("--out belongs to run", "leave it out")),
        ("list --jsn", ("'--jsn'", "'--json'")),
    ],
)
def test_an_unknown_option_is_refused_with_the_one_that_was_meant(
    lossreg_command: Command, line: str, parts: tuple[str, ...]
) -> None:
    """An unknown option is refused, with the option that was probably meant where one is near."""
    refused(lossreg_command, line, *parts)


@pytest.mark.parametrize("line", ["run --los.smooth 1", "plan --optimiser.lr 1"])
def test_an_unknown_component_before_a_dot_is_refused_with_a_flag_to_copy(lossreg_command: Command, line: str) -> None:
    """The suggestion for an unknown component flag is itself a flag, with its dashes."""
    meant = "--loss" if "los" in line else "--optimizer"
    refused(lossreg_command, line, f"Did you mean {meant}")


@for_each(
    ("text", "why"),
    [
        ("dice(", "write name or name(key=value, ...)"),
        ("dice)", "write name or name(key=value, ...)"),
        ("dice(smooth=)", "write name or name(key=value, ...)"),
        ("dice(1)", "1 stands without a name"),
        ("dice(**{})", "** is not allowed"),
        ("dice(smooth=1+1)", "smooth=1 + 1 is not a literal"),
        ("dice(smooth={1, 2})", "smooth={1, 2} is not a literal"),
        ("dice smooth=1", "write name or name(key=value, ...)"),
        ("0.5*dice", "write name or name(key=value, ...)"),
        ("dice + l1", "write name or name(key=value, ...)"),
        ("a.b.c", "is not a name"),
        ("", "write name or name(key=value, ...)"),
        (" ", "write name or name(key=value, ...)"),
        ("__import__('os').system('true')", "is not a spec"),
    ],
)
def test_a_text_that_is_no_spec_is_refused_with_the_form_of_one(lossreg_command: Command, text: str, why: str) -> None:
    """A text that is no spec is refused, quoted, with the reason and the form of a spec."""
    refused(lossreg_command, f"run --loss {shlex.quote(text)}", repr(text), "is not a spec", why, "dice(smooth=1)")


def test_a_spec_of_endless_nesting_is_refused(lossreg_command: Command) -> None:
    """A spec with thousands of brackets is refused like any other text that is no spec."""
    refused(lossreg_command, f"run --loss 'dice(smooth={'[' * 3000}{']' * 3000})'", "is not a spec")


@for_each(
    ("line", "parts"),
    [
        ("run --epochs 0", ("epochs", "at least 1", "not 0")),
        ("run --epochs -1", ("epochs", "at least 1", "not -1")),
        ("run --batch-size 0", ("batch_size", "at least 1", "not 0")),
        ("run --batch-size -64", ("batch_size", "at least 1", "not -64")),
        ("run --log-every 0", ("log_every", "at least 1", "not 0")),
        ("run --limit-train 0", ("limit_train", "at least 1", "not 0")),
        ("run --limit-test -1", ("limit_test", "at least 1", "not -1")),
        ("run --seed -1", ("seed", "at least 0", "not -1")),
        (f"run --seed {2**63}", ("seed", f"at most {2**63 - 1}", f"not {2**63}")),
        ("run --epochs 1.5", ("--epochs", "'1.5'", "integer")),
        ("run --epochs many", ("--epochs", "'many'", "integer")),
        ("run --epochs ''", ("--epochs", "''", "integer")),
        ("run --batch-size 6e1", ("--batch-size", "'6e1'", "integer")),
        ("run --seed 0x", ("--seed", "'0x'", "integer")),
        ("run --limit-train all", ("--limit-train", "'all'", "integer")),
        ("plan --epochs 0", ("epochs", "at least 1", "not 0")),
        ("plan --batch-size half", ("--batch-size", "'half'", "integer")),
    ],
)
def test_a_number_out_of_range_is_refused_with_the_range(
    lossreg_command: Command, line: str, parts: tuple[str, ...]
) -> None:
    """A setting that is no whole number of its range is refused with its name, its value and the range."""
    refused(lossreg_command, line, *parts)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("epochs = = 1", ("settings.toml is not TOML", "line 1")),
        ("epochs =", ("settings.toml is not TOML", "end of document")),
        ("epochs = 1\nepochs = 2", ("settings.toml is not TOML",)),
        ("epoch = 1", ("settings.toml", "no key 'epoch'", "Did you mean 'epochs'")),
        ("opt = 'sgd'", ("settings.toml", "no key 'opt'", "optimizer")),
        ("format = 1", ("settings.toml", "run.json")),
        ("out = 'here'", ("settings.toml", "no key 'out'", "Keys: loss, optimizer")),
        ("epochs = 'many'", ("settings.toml", "epochs", "'many'")),
        ("epochs = true", ("settings.toml", "epochs", "True")),
        ("epochs = 1.0", ("settings.toml", "epochs", "1.0")),
        ("epochs = 0", ("settings.toml", "epochs", "at least 1")),
        ("seed = nan", ("settings.toml", "seed", "nan")),
        ("log_every = inf", ("settings.toml", "log_every", "inf")),
        ("eval_train = 1", ("settings.toml", "eval_train", "true or false")),
        ("device = 0", ("settings.toml", "device", "text")),
        ("scheduler_interval = 'batch'", ("settings.toml", "scheduler_interval", "'batch'")),
        ("loss = 3", ("settings.toml", "loss", "spec text", "3")),
        ("optimizer = ['sgd']", ("settings.toml", "optimizer", "spec text", "['sgd']")),
        ("[optimizer]\nname = 'sgd'", ("settings.toml", "optimizer", "spec text", "{'name': 'sgd'}")),
        ("loss = 'dice('", ("settings.toml", "'dice('", "is not a spec")),
        ("optimizer = 'sgd(lr=nan)'", ("settings.toml", "lr is NaN")),
        ("loss = 'dise'", ("no loss named 'dise'", "Did you mean 'dice'")),
        ("loss = 'dice(smoth=1)'", ("dice has no parameter 'smoth'", "'smooth'")),
    ],
)
@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_toml_file_with_a_mistake_is_refused(
    lossreg_command: Command, tmp_path: Path, verb: str, content: str, parts: tuple[str, ...]
) -> None:
    """A TOML file that is broken, or has an unknown key or a wrong value, is refused."""
    (tmp_path / "settings.toml").write_text(content)
    refused(lossreg_command, f"{verb} -c settings.toml", *parts)


@pytest.mark.parametrize("content", ["loss = 'dise'", "loss = 'dice(smoth=1)'", "optimizer = \"sgd(lr='fast')\""])
def test_a_wrong_name_or_parameter_in_a_file_is_refused_with_the_file(
    lossreg_command: Command, tmp_path: Path, content: str
) -> None:
    """The message about a component that a file names wrongly says in which file it stands."""
    (tmp_path / "settings.toml").write_text(content)
    refused(lossreg_command, "run -c settings.toml", "settings.toml")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ('{"epochs": 1', ("settings.json is not JSON",)),
        ("epochs = 1", ("settings.json is not JSON",)),
        ('["sgd"]', ("settings.json", "holds no keys and values")),
        ('{"epoch": 1}', ("settings.json", "no key 'epoch'", "Did you mean 'epochs'")),
        ('{"epochs": NaN}', ("settings.json", "epochs", "nan")),
        ('{"epochs": null}', ("settings.json", "epochs", "None")),
        ('{"optimizer": {"name": "sgd"}}', ("settings.json", "optimizer", "spec text")),
        ('{"epochs": 1, "epochs": 2}', ("settings.json", "epochs", "twice")),
    ],
)
def test_a_json_file_with_a_mistake_is_refused(
    lossreg_command: Command, tmp_path: Path, content: str, parts: tuple[str, ...]
) -> None:
    """A JSON file that is broken, or has an unknown or repeated key or a wrong value, is refused."""
    (tmp_path / "settings.json").write_text(content)
    refused(lossreg_command, "run -c settings.json", *parts)


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("absent.toml", ("absent.toml cannot be read", "No such file")),
        ("absent/run.json", ("absent/run.json cannot be read", "No such file")),
        ("empty", ("empty/run.json cannot be read", "No such file")),
        ("picture.toml", ("picture.toml cannot be read", "not text")),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    lossreg_command: Command, tmp_path: Path, written: str, parts: tuple[str, ...]
) -> None:
    """A configuration that is not there, is no text, or is a directory without run.json, is refused."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture.toml").write_bytes(b"\x89PNG\xff\xfe")
    refused(lossreg_command, f"run -c {written}", *parts)


@pytest.mark.parametrize("option", ["-c", "--out"])
def test_an_empty_path_is_refused(lossreg_command: Command, option: str) -> None:
    """An empty path, such as an unset shell variable leaves, is refused: it is neither no path nor this directory."""
    refused(lossreg_command, f"run {option} '' {shlex.join(TINY)}")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ({"format": 3, "spec": {"loss": "dice"}}, ("past/run.json", "format 1")),
        ({"format": "1", "spec": {"loss": "dice"}}, ("past/run.json", "format 1")),
        ({"format": 1}, ("past/run.json", "format 1")),
        ({"spec": {"loss": "dice"}}, ("past/run.json", "format 1")),
        ({"format": 1, "spec": {"los": "dice"}}, ("past/run.json", "no key 'los'", "'loss'")),
        ({"format": 1, "spec": {"loss": "dice"}, "objects": ["model"]}, ("past/run.json",)),
        ({"format": 1, "spec": {"loss": "dice"}, "versions": "2.0"}, ("past/run.json",)),
    ],
)
def test_a_run_json_of_another_form_is_refused(
    lossreg_command: Command, tmp_path: Path, content: dict[str, object], parts: tuple[str, ...]
) -> None:
    """A run.json that lossreg did not write, or not in the format that this lossreg reads, is refused by its path."""
    past = tmp_path / "past"
    past.mkdir()
    (past / "run.json").write_text(json.dumps(content))
    refused(lossreg_command, "run -c past", *parts)


def test_a_run_with_an_object_in_it_cannot_be_repeated(lossreg_command: Command) -> None:
    """The run.json of a run that was given a Python object is refused, and the message names field and class."""
    import torch

    past = lossreg.run(
        loss=torch.nn.CrossEntropyLoss(), epochs=1, limit_train=64, limit_test=32, out="past", quiet=True
    )
    assert past.directory == Path.cwd() / "past"
    refused(lossreg_command, "run -c past", "past/run.json", "loss (torch.nn.modules.loss.CrossEntropyLoss)", "name")


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("full", "is not empty"),
        ("file", "is not a directory; name another"),
        ("file/below", "Not a directory"),
        ("/dev/null/run", "Not a directory"),
        ("/proc/run", "No such file or directory"),
    ],
)
def test_a_run_directory_that_cannot_be_used_is_refused(
    lossreg_command: Command, tmp_path: Path, out: str, why: str
) -> None:
    """A run directory that is not empty, is a file, is below one, or cannot be made, is refused with the reason."""
    if out.startswith("/") and not Path(out).parent.exists():
        pytest.skip(f"{Path(out).parent} is not on this system")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    refused(lossreg_command, f"run --out {out} {shlex.join(TINY)}", f"the run directory {tmp_path / out} ", why)


@for_each_apart(
    "wrong",
    [
        "--loss dise",
        "--opt.lrr 1",
        "--device gpu",
        f"{LAMBDA} '1 / (epoch - 3) ** 2'",
        "--loss.reduction none --loss l1",
    ],
)
def test_a_run_that_never_starts_gives_its_directory_back(lossreg_command: Command, wrong: str) -> None:
    """A run directory that did not exist before, parents included, is gone again when the run is refused."""
    refused(lossreg_command, f"run --out new/deep/down {wrong}")


def test_a_refused_run_leaves_an_empty_run_directory_that_was_there(lossreg_command: Command, tmp_path: Path) -> None:
    """An empty directory that the user made for the run is still there, and empty, when the run is refused."""
    (tmp_path / "mine").mkdir()
    refused(lossreg_command, "run --out mine --loss.reduction none --loss l1")
    assert (tmp_path / "mine").is_dir()


@for_each_apart(
    ("line", "parts"),
    [
        ("run --sched-interval step", ("--sched-interval", "no effect", "scheduler")),
        ("run --sched none --sched-interval step", ("--sched-interval", "no effect", "scheduler")),
        ("run --sched.lr_lambda 1", ("--sched.lr_lambda", "no effect", "--sched")),
        ("run --sched none --sched.lr_lambda 1", ("--sched.lr_lambda", "no effect", "--sched")),
        ("run --loss.label_smoothing 0.1", ("--loss.label_smoothing", "--loss")),
        ("plan --sched-interval step", ("--sched-interval", "no effect", "scheduler")),
        ("plan --sched.lr_lambda 1", ("--sched.lr_lambda", "no effect", "--sched")),
    ],
)
def test_a_flag_without_effect_is_refused(lossreg_command: Command, line: str, parts: tuple[str, ...]) -> None:
    """A flag that would change nothing is refused with the flag that is missing."""
    refused(lossreg_command, line, *parts)


@for_each_apart("interval", ["batch", "epochs", ""])
def test_an_unknown_interval_is_refused_with_those_known(lossreg_command: Command, interval: str) -> None:
    """An interval other than `epoch` and `step` is refused with the two words."""
    line = f"run {LAMBDA} 1 --sched-interval '{interval}'"
    refused(lossreg_command, line, "--sched-interval", repr(interval), "'epoch', 'step'")


def test_cuda_on_a_machine_without_is_refused(lossreg_command: Command) -> None:
    """`--device cuda` is refused on a machine without one, with the devices that it has."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    refused(lossreg_command, "run --device cuda", "device 'cuda' does not exist", "this machine has cpu")


@for_each_apart(
    ("line", "parts"),
    [
        ("run --device cuda:99", ("device 'cuda:99' does not exist", "this machine has cpu")),
        ("run --device cpu:1", ("device 'cpu:1' does not exist", "this machine has cpu")),
        ("run --device gpu", ("device 'gpu' is not understood", "auto, cpu, cuda, cuda:N, mps or xpu")),
        ("run --device cuda:x", ("device 'cuda:x' is not understood", "auto, cpu, cuda, cuda:N, mps or xpu")),
        ("run --device auto:1", ("device 'auto:1'", "this machine has cpu")),
        ("run --device ''", ("device ''", "auto, cpu, cuda, cuda:N, mps or xpu")),
        ("plan --device cuda:99", ("device 'cuda:99' does not exist", "this machine has cpu")),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_those_that_are(
    lossreg_command: Command, line: str, parts: tuple[str, ...]
) -> None:
    """A device that is no device, or is not there, is refused with those of this machine."""
    refused(lossreg_command, line, *parts)


@pytest.mark.parametrize("line", ["run --sched lambda_lr", "plan --sched lambda_lr --sched.last_epoch 3"])
def test_a_missing_parameter_is_refused_by_name(lossreg_command: Command, line: str) -> None:
    """A component whose needed parameter is not given is refused with the parameter and its type."""
    refused(lossreg_command, line, "lambda_lr needs lr_lambda", "lr_lambda: str")


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        ("epoch //", ('lambda_lr: lr_lambda: expression "epoch //" at its end: invalid syntax',)),
        ("epochh // 2", ("no name 'epochh'", "'epoch'")),
        ("__import__('os')", ("no function '__import__'", "Functions:")),
        ("epoch.real", ("Attribute is not part of the language",)),
        ("(lambda: 1)()", ("only the functions of the language can be called",)),
        ("True", ("write 1 and 0",)),
        ("max()", ("max takes at least",)),
        ("", ("empty",)),
        ("1 / (epoch - 7)**2", ("epoch = 7", "division by zero")),
        ("epoch - 3", ("epoch = 0", "-3", "at least 0")),
        ("log(epoch)", ("epoch = 0",)),
        ("9 ** 9 ** epoch", ("epoch = ",)),
        ("step", ("names step", "counts epochs", "--sched-interval step")),
        ("0.9 ** (step // 100)", ("names step", "counts epochs", "--sched-interval step")),
        ("1" + " + 1" * 70, ("characters", "at most 200")),
    ],
)
@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_wrong_schedule_is_refused_before_it_starts(
    lossreg_command: Command, verb: str, expression: str, parts: tuple[str, ...]
) -> None:
    """An lr_lambda that is no expression, or has no value at an epoch that will come, is refused at the start."""
    refused(lossreg_command, f"{verb} {LAMBDA} {shlex.quote(expression)}", "expression", *parts)


@for_each(
    ("line", "parts"),
    [
        ("run --loss 'dice(smooth=0)'", ("dice(smooth=0", "cannot be built", "greater than 0")),
        ("run --loss dice --loss.smooth -1", ("dice(smooth=-1", "cannot be built", "greater than 0")),
        ("run --opt 'sgd(lr=-1)'", ("sgd(lr=-1", "cannot be built", "Invalid learning rate: -1")),
        ("run --opt.lr -1", ("sgd(lr=-1", "cannot be built", "Invalid learning rate: -1")),
        ("run --opt.nesterov true --opt.momentum 0", ("nesterov=True", "Nesterov momentum requires a momentum")),
        ("run --opt adam --opt.betas '[0.9, 1.5]'", ("betas=(0.9, 1.5)", "Invalid beta parameter")),
        ("run --loss 'cross_entropy(label_smoothing=2)'", ("label_smoothing", "between 0.0 and 1.0")),
        ("run --loss \"l1(reduction='median')\"", ("l1", "median")),
        ("run --loss 'cross_entropy(weight=[[1, 1], [1]])'", ("cross_entropy", "weight")),
        ("run --model 'mlp(hidden=[0])'", ("hidden=(0,)", "at least 1 wide")),
        ("run --model.num_classes -5", ("num_classes=-5", "cannot be built")),
        ("plan --opt.lr -1", ("sgd(lr=-1", "cannot be built", "Invalid learning rate: -1")),
    ],
)
def test_a_value_that_the_factory_refuses_is_refused_with_its_reason(
    lossreg_command: Command, line: str, parts: tuple[str, ...]
) -> None:
    """A value of the right type that the component itself refuses is refused with all parameters and the reason."""
    refused(lossreg_command, line, *parts)


@for_each_apart(
    ("line", "parts"),
    [
        (
            "run --data diabetes --loss cross_entropy",
            (
                "model mlp, loss cross_entropy and data set diabetes do not fit",
                "class indices",
                "Losses that fit: huber, l1",
            ),
        ),
        (
            "run --data diabetes --loss dice",
            ("model mlp, loss dice and data set diabetes do not fit", "class indices", "Losses that fit: huber, l1"),
        ),
        (
            "run --data diabetes --model mnist_cnn",
            ("model mnist_cnn, loss mse and data set diabetes do not fit", "(64, 10)", "Expected 3D"),
        ),
        (
            "run --loss dice --loss.reduction none",
            ("loss dice(reduction='none')", "a single number", "reduction='mean' or 'sum'"),
        ),
        (
            "run --loss \"dice(reduction='none')\"",
            ("loss dice(reduction='none')", "a single number", "reduction='mean' or 'sum'"),
        ),
        (
            "run --loss cross_entropy --loss.reduction none",
            ("loss cross_entropy(reduction='none')", "(64,)", "a single number", "reduction='mean' or 'sum'"),
        ),
        (
            "run --model.num_classes 5",
            ("model mnist_cnn(num_classes=5)", "class index 9", "classes are 0 to 4"),
        ),
        (
            "run --model.in_channels 3",
            ("model mnist_cnn(in_channels=3)", "data set digits do not fit", "(64, 1, 28, 28)"),
        ),
        (
            "run --loss 'cross_entropy(weight=[1, 2])'",
            ("loss cross_entropy(weight=[1, 2])", "its parameter weight is wrong", "all 10 classes"),
        ),
        (
            "plan --data diabetes --loss cross_entropy",
            (
                "model mlp, loss cross_entropy and data set diabetes do not fit",
                "class indices",
                "Losses that fit: huber, l1",
            ),
        ),
        (
            "plan --loss l1 --loss.reduction none",
            ("loss l1(reduction='none')", "(64, 10)", "a single number", "reduction='mean' or 'sum'"),
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused_by_their_names(
    lossreg_command: Command, line: str, parts: tuple[str, ...]
) -> None:
    """A model, a loss and a data set that do not fit are refused before training, with the reason and the shapes."""
    refused(lossreg_command, line, *parts)


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_data_that_cannot_be_had_is_refused_with_data_that_can(
    lossreg_command: Command, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """MNIST that is not there and cannot be downloaded is refused with its place and a set that needs no network."""
    monkeypatch.setattr(urllib.request, "_opener", None)  # urllib keeps the proxies that it saw first
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("no_proxy", "")
    refused(
        lossreg_command,
        f"{verb} --data mnist --data.root nowhere",
        "nowhere/MNIST/raw",
        "--data.root",
        "--data digits",
    )


def test_no_command_is_refused_with_what_is_missing(lossreg_command: Command) -> None:
    """`lossreg` alone is refused, and the first line of the message says that a command is missing."""
    outcome = refused(lossreg_command, "", "Missing command", "lossreg --help")
    assert "Missing command" in outcome.err.splitlines()[0]


@for_each_apart(
    ("line", "parts"),
    [
        ("lst", ("'lst'", "list")),
        ("rn", ("'rn'", "run")),
        ("plugin", ("'plugin'", "plugins")),
        ("Show loss dice", ("'Show'", "show")),
        ("train", ("'train'", "lossreg --help")),
    ],
)
def test_an_unknown_command_is_refused_with_the_one_that_was_meant(
    lossreg_command: Command, line: str, parts: tuple[str, ...]
) -> None:
    """An unknown command is refused, with the command that was probably meant where one is near."""
    refused(lossreg_command, line, *parts)


@for_each_apart(
    ("line", "extra"),
    [
        ("run dice", "(dice)"),
        ("run --loss dice sgd", "(sgd)"),
        ("run --eval-train yes", "(yes)"),
        ("run --quiet -- --loss", "(--loss)"),
        ("plan dice", "(dice)"),
        ("list loss dice l1", "(l1)"),
        ("show loss dice l1", "(l1)"),
        ("plugins doctor builtin good", "(good)"),
    ],
)
def test_an_extra_argument_is_refused(lossreg_command: Command, line: str, extra: str) -> None:
    """An argument that a command does not take is refused and shown."""
    refused(lossreg_command, line, "unexpected extra argument", extra, "--help")


@for_each_apart(
    ("line", "parts"),
    [
        ("list lose", ("no kind 'lose'", "'loss'", KINDS)),
        ("list dice", ("no kind 'dice'", "lossreg show loss dice", KINDS)),
        ("list optim dice", ("no kind 'optim'", "'optimizer'")),
        ("show modle mlp", ("no kind 'modle'", "'model'", KINDS)),
        ("show dice loss", ("no kind 'dice'", KINDS)),
    ],
)
def test_an_unknown_kind_is_refused_with_those_known(
    lossreg_command: Command, line: str, parts: tuple[str, ...]
) -> None:
    """A word that is no kind is refused with those there are."""
    refused(lossreg_command, line, *parts)


@for_each_apart(
    ("line", "parts"),
    [
        ("show loss dise", ("no loss named 'dise'", "'dice'", "lossreg list loss")),
        ("show dataset builtin.digit", ("no dataset named 'builtin.digit'", "'builtin.digits'")),
        ("show loss", ("name the loss to show", "lossreg list loss")),
        ("show", ("KIND", "lossreg show --help")),
        ("show loss ''", ("'' is not a spec", "name(key=value, ...)")),
    ],
)
def test_showing_what_is_not_there_is_refused(lossreg_command: Command, line: str, parts: tuple[str, ...]) -> None:
    """`show` of an unknown or missing name is refused with the way to the names."""
    refused(lossreg_command, line, *parts)
