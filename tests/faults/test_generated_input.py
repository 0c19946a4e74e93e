"""Generated texts and files, for every reader of them: what they hold, or one error of one line, in bounded time."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

import lossreg
from lossreg.checkpoints.manifest import Manifest
from lossreg.checkpoints.weights_file import read_weights
from lossreg.cli.config_file import load_comparison, load_config, load_past_run
from lossreg.comparison.directory import read_comparison as comparison_of_a_directory
from lossreg.errors import CheckpointError
from lossreg.groups import parse_groups
from lossreg.past_runs.compare_json import labels_in, read_compare_json
from lossreg.past_runs.sources import read_sources
from lossreg.patterns import parse_pattern
from lossreg.plugins.plugin_settings import load_settings
from lossreg.registry.registries import default
from lossreg.reports.comparison import read_comparison
from lossreg.reports.page import render_page
from lossreg.run_spec import SETTINGS, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.spec_text import parse_params, parse_value
from lossreg.training.record.metrics_file import read_rows
from lossreg.training.record.reading import read_run, read_summary
from lossreg.training.resume.past import open_past_run
from tests.faults.campaign import Campaign
from tests.faults.generated import DEEP, TEXTS, VALUES, disturbed, examine, variants, why_wrong

Reader = Callable[[], Any]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Warnings of what is read are not kept: there are thousands."""
    logging.getLogger("lossreg").disabled = True
    yield
    logging.getLogger("lossreg").disabled = False


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with a checkpoint."""
    out = tmp_path_factory.mktemp("past") / "run"
    lossreg.run(
        loss="dice(smooth=1)", optimizer="sgd(lr=0.05)", model="mlp", epochs=1, limit_train=64, limit_test=64, out=out,
        quiet=True,
    )  # fmt: skip
    return out


def first_wrong(readers: dict[str, Reader]) -> str | None:
    """What is wrong with the first of several readers that ends as none should."""
    found = ((name, why_wrong(read)) for name, read in readers.items())
    return next((f"{name}: {why}" for name, why in found if why is not None), None)


def all_of(summary: Any) -> None:
    """Asks for whatever a summary converts when it is asked for."""
    for table in (summary.spec, summary.versions, summary.final):
        dict(table)
    _ = summary.labels, [summary.param(field, "lr") for field in summary.built]


def page(directory: Path) -> str:
    """The page of a run."""
    return render_page(read_sources([directory]), made=datetime(2026, 1, 1))


def readers_of_a_run(directory: Path) -> dict[str, Reader]:
    """All that reads run.json and metrics.jsonl without building a model."""
    file = directory / "run.json"
    return {
        "read_summary": lambda: all_of(read_summary(directory, params=True)),
        "read_run": lambda: all_of(read_run(directory)),
        "runs": lambda: all_of(read_summary(directory)),
        "report": lambda: page(directory),
        "run -c": lambda: load_config(str(file), default),
        "compare -c": lambda: load_comparison(str(file), default),
        "--resume": lambda: load_past_run(directory, default),
        "its checkpoint": lambda: open_past_run(directory).directory.close(),
    }


def test_generated_run_json(campaign: Campaign, past: Path) -> None:
    """Values of any kind in any place, broken texts, deep ones."""
    file = past / "run.json"
    whole = file.read_bytes()

    def check(data: bytes) -> str | None:
        file.write_bytes(data)
        return first_wrong(readers_of_a_run(past))

    try:
        examine(campaign, disturbed(variants(json.loads(whole)) | DEEP), (150, 20_000), check)
    finally:
        file.write_bytes(whole)


def test_generated_metrics_jsonl(campaign: Campaign, past: Path) -> None:
    """Rows of any kind, torn lines, lines that are no rows."""
    file = past / "metrics.jsonl"
    whole = file.read_bytes()
    row = json.loads(whole.splitlines()[-1])
    lines = st.lists(variants(row) | DEEP, max_size=4).map(lambda rows: "".join(f"{one}\n" for one in rows))

    def check(data: bytes) -> str | None:
        file.write_bytes(data)
        readers = readers_of_a_run(past)
        readers |= {"read_rows": lambda: read_rows(past, len(data)), "too long": lambda: read_rows(past, 1 << 62)}
        return first_wrong(readers)

    try:
        examine(campaign, disturbed(lines), (100, 10_000), check)
    finally:
        file.write_bytes(whole)


def test_generated_manifests(campaign: Campaign, past: Path) -> None:
    """Of a checkpoint, by all that lists and reads checkpoints."""
    file = next(past.glob("checkpoints/*/manifest.json"))
    whole = file.read_bytes()

    def check(data: bytes) -> str | None:
        file.write_bytes(data)
        manifest = {"manifest": lambda: Manifest.read(file.parent)}
        with contextlib.suppress(CheckpointError):  # of two lines where several are damaged
            open_past_run(past).directory.close()
        return first_wrong(manifest)

    try:
        examine(campaign, disturbed(variants(json.loads(whole)) | DEEP), (150, 20_000), check)
    finally:
        file.write_bytes(whole)


COMPARISON = {
    "format": 1, "question": {"a": 1}, "metric": "test_loss", "cells": [
        {"name": "dice", "asked": "dice", "label": "dice", "spec": {"loss": "dice"}, "runs": [
            {"seed": 0, "directory": "dice/seed-0", "status": "finished", "epochs": 1, "seconds": 1.0,
             "final": {"test_loss": 0.5}, "best": {"test_loss": 0.5}, "reason": None}]}],
    "verdict": {"text": "equal"}, "pairs": [],
}  # fmt: skip


def test_generated_compare_json(campaign: Campaign, past: Path, tmp_path: Path) -> None:
    """By those who go on with a comparison, and who show one."""
    file = tmp_path / "compare.json"

    def check(data: bytes) -> str | None:
        file.write_bytes(data)
        return first_wrong(
            {
                "compare": lambda: comparison_of_a_directory(tmp_path),
                "labels": lambda: labels_in(tmp_path, read_compare_json(tmp_path) or {"cells": []}),
                "report": lambda: read_comparison(tmp_path),
            }
        )

    examine(campaign, disturbed(variants(COMPARISON) | DEEP), (200, 20_000), check)


def toml_of(value: Any) -> str:
    """A value in TOML, where it has one; else something that is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml_of(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_of, value))}]"
    return repr(value) if isinstance(value, float) else json.dumps(value)


def test_generated_settings(campaign: Campaign, tmp_path: Path) -> None:
    """Files of settings in TOML and JSON, and those of a project."""
    toml, other, project = tmp_path / "run.toml", tmp_path / "run.json.json", tmp_path / "lossreg.toml"
    tables = st.dictionaries(st.sampled_from([*SETTINGS, "compare", "format"]) | TEXTS, VALUES, max_size=4)
    texts = tables.map(lambda table: "\n".join(f"{_key(key)} = {toml_of(one)}" for key, one in table.items()))

    def check(both: tuple[bytes, bytes]) -> str | None:
        toml.write_bytes(both[0])
        other.write_bytes(both[1])
        project.write_bytes(both[0])
        return first_wrong(
            {
                "run -c TOML": lambda: load_config(str(toml), default),
                "run -c JSON": lambda: load_config(str(other), default),
                "compare -c": lambda: load_comparison(str(toml), default),
                "lossreg.toml": lambda: load_settings({}, tmp_path),
            }
        )

    pairs = st.tuples(disturbed(texts | DEEP.map(lambda text: f"a = {text}")), disturbed(tables.map(json.dumps) | DEEP))
    examine(campaign, pairs, (150, 50_000), check)


def _key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() else json.dumps(key)


SPECS = st.sampled_from(
    ["builtin.dice(smooth=1)", "sgd(lr=0.1, momentum=0.9)", "warmup(cosine(), length='10%')", "a(b=[1, {'c': d(e=1)}])",
     "x(y=-inf)", "lookahead(sgd(lr=.1))", "lambda_lr(lr_lambda='epoch // 2')", "ndim>=2 & !head.*: sgd(lr=0.02)"]
)  # fmt: skip


def test_generated_spec_texts(campaign: Campaign) -> None:
    """Specs, options, values, patterns and groups."""

    def check(data: bytes) -> str | None:
        text = data.decode("utf-8", "surrogateescape")
        return first_wrong(
            {
                "spec": lambda: ComponentSpec.parse(text),
                "value": lambda: parse_value(text),
                "options": lambda: parse_params(text),
                "pattern": lambda: parse_pattern(text),
                "groups": lambda: parse_groups(text),
                "settings": lambda: RunSpec.from_mapping({"loss": text, "freeze": text, "weights": text}, "file"),
            }
        )

    examine(campaign, disturbed(SPECS | TEXTS | DEEP), (400, 100_000), check)


HUGE = {
    "a million digits": b"9" * 1_000_000,
    "deep lists": b"[" * 10_000 + b"]" * 10_000,
    "deep tables": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "lists without end": b"[" * 5_000_000,
    "a text without end": b'"' + b"a" * 5_000_000,
    "many names": b"{" + b",".join(b'"k%d":1' % number for number in range(300_000)) + b"}",
    "a name twice at the end of many": b"{"
    + b",".join(b'"k%d":1' % number for number in range(300_000))
    + b',"k299999":1}',
    "a long dotted name": b".".join([b"a"] * 200_000) + b" = 1",
    "a long dotted name in quotes": b".".join([b'"a"'] * 100_000) + b" = 1",
    "a long dotted table": b"[" + b".".join([b"a"] * 200_000) + b"]",
    "many tables": b"".join(b"[[a]]\n" for _ in range(150_000)),
    "deep inline tables": b"a = " + b"{a = " * 10_000 + b"1" + b"}" * 10_000,
    "a word without end": b"a" * 900_000,
    "brackets in texts": b'{"a":"' + b"[{" * 1_000_000 + b'"}',
    "escapes": b'{"a":"' + b"\\u0041" * 500_000 + b'"}',
    "blanks": b" " * 9_000_000,
    "null bytes": bytes(1_000_000),
    "zeros behind a point": b'{"format": 0.' + b"0" * 1_000_000 + b"1}",
    "a BOM of 16 bits": b"\xff\xfe" + '{"format": 2}'.encode("utf-16-le"),
    "a BOM of 8 bits": b"\xef\xbb\xbf" + b'{"format": 2}',
    "eleven million bytes": b"#" * 11_000_000,
}


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize(
    "file", ["run.json", "compare.json", "run.toml", "lossreg.toml", "manifest.json", "metrics.jsonl"]
)
def test_a_huge_or_odd_file(name: str, file: str, tmp_path: Path) -> None:
    """Each reader gives a value or one error of one line, in seconds."""
    data = HUGE[name]
    (tmp_path / file).write_bytes(data)
    readers: dict[str, dict[str, Reader]] = {
        "run.json": readers_of_a_run(tmp_path),
        "compare.json": {
            "compare": lambda: comparison_of_a_directory(tmp_path),
            "report": lambda: read_comparison(tmp_path),
        },
        "run.toml": {"run -c": lambda: load_config(str(tmp_path / file), default)},
        "lossreg.toml": {"settings": lambda: load_settings({}, tmp_path)},
        "manifest.json": {
            "manifest": lambda: Manifest.read(tmp_path),
            "weights": lambda: read_weights(tmp_path / file),
        },
        "metrics.jsonl": {
            "rows": lambda: read_rows(tmp_path, len(data)),
            "longer": lambda: read_rows(tmp_path, 1 << 62),
        },
    }
    wrong = {which: why for which, read in readers[file].items() if (why := why_wrong(read, limit=10))}
    assert not wrong


def test_control_of_generated_input(campaign: Campaign, tmp_path: Path) -> None:
    """A reader that takes what json and dict give is found, and so is one whose message has two lines."""

    def careless(data: bytes) -> str | None:
        return why_wrong(lambda: json.loads(data)["spec"]["loss"].partition("("))

    with pytest.raises(AssertionError):
        examine(campaign, disturbed(variants({"spec": {"loss": "dice"}})), (200, 200), careless)

    def talkative() -> None:
        raise lossreg.ConfigError("one\ntwo")

    assert why_wrong(talkative) is not None
