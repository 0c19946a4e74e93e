"""The indexes that come with lossreg: whole, of records that can be made, and as the page of the catalogue says."""

from __future__ import annotations

import tomllib
from pathlib import Path

from lossreg.component_table import Row
from lossreg.names import snake_case
from lossreg_bridges.bridge import TYPES, Bridge, index_of
from lossreg_bridges.catalogue import BRIDGES, bridges, counts, page
from tests.table import for_each

ROOT = Path(__file__).parents[2]
FEWEST = 1700  # names of other packages; with the built-ins there are 2,000


@for_each("bridge", bridges(), ids=lambda bridge: bridge.name)
def test_every_row_is_a_record(bridge: Bridge) -> None:
    """A record can be made of each, which checks its fields; none is named or aliased twice."""
    index = index_of(bridge, None)
    for kind in index.components:
        records = [Row(name, TYPES[kind], fields).make() for name, fields in index.rows(kind).items()]
        words = [word for record in records for word in (record.name, *record.aliases)]
        assert len(words) == len(set(words))
        assert all(record.summary for record in records if record.kind == "model")
        assert not index.left_out.get(kind, {}).keys() & index.components[kind].keys()


def test_the_page_agrees_with_the_indexes() -> None:
    """It is what `python -m lossreg_bridges catalogue` writes."""
    assert (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8") == page()


def test_there_are_thousands_of_names() -> None:
    """All bridges together."""
    assert sum(sum(counts(index_of(bridge, None)).values()) for bridge in bridges()) >= FEWEST


def test_every_bridge_is_declared() -> None:
    """In pyproject.toml: its entry point, its extra with one requirement, and the wheel that has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    points = project["project"]["entry-points"]["lossreg.bridges"]
    assert points == {name: f"lossreg_{name}.plugin" for name in BRIDGES}
    extras = project["project"]["optional-dependencies"]
    assert all(len(extras[name.replace("_", "-")]) == 1 for name in BRIDGES)
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {f"plugins/lossreg_{name}" for name in (*BRIDGES, "bridges")} <= set(packages)


def test_the_names_of_issue_and_readme_are_there() -> None:
    """Those that people write first, with what they need."""
    tables = {bridge.name: index_of(bridge, None) for bridge in bridges()}
    lion = tables["timm"].rows("optimizer")["lion"]
    assert (lion["factory"], lion["closure"], lion["routes"]) == ("timm.optim:Lion", False, "all")
    assert tables["timm"].rows("model")["resnet50"]["runtime_args"] == {
        "num_classes": "num_classes",
        "in_chans": "in_channels",
    }
    assert tables["monai"].rows("loss")["dice_ce"]["defaults"]["softmax"] is True
    assert tables["pytorch_optimizer"].rows("optimizer")["adahessian"]["create_graph"] is True
    assert tables["pytorch_optimizer"].rows("optimizer")["sam"]["nested"] == "base_optimizer"
    assert tables["smp"].rows("model")["unet"]["defaults"]["encoder_weights"] is None
    assert tables["torchmetrics"].rows("metric")["f1_score"]["better"] == "higher"
    assert tables["transformers"].rows("scheduler")["cosine_with_warmup"]["interval"] == "step"
    assert "lovasz_softmax" in tables["kornia"].rows("loss")
    assert snake_case("LovaszSoftmaxLoss", "loss") == "lovasz_softmax"
