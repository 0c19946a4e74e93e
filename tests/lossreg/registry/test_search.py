"""Searching components: what fits a text, and in which order."""

from __future__ import annotations

from lossreg.registry.search import Query, Rank, Searched
from tests.table import for_each


def rank(text: str, name: str, summary: str = "", *aliases: str) -> Rank | None:
    """How well a component of a plugin `acme` fits a text."""
    return Query(text).rank(Searched(f"acme.{name}", (name, *aliases), summary))


@for_each(
    ("text", "name", "expected"),
    [
        ("focal", "focal", Rank.NAME),
        (" FOCAL ", "focal", Rank.NAME),
        ("acme.focal", "focal", Rank.NAME),
        ("cross entropy", "cross_entropy", Rank.NAME),
        ("cross-entropy", "cross_entropy", Rank.NAME),
        ("crossentropy", "cross_entropy", Rank.NAME),
        ("CrossEntropyLoss", "cross_entropy", Rank.NAME),
        ("StepLR", "step_lr", Rank.NAME),
        ("focal", "focal_dice", Rank.FIRST_WORD),
        ("resnet", "resnet18", Rank.BEGINNING),
        ("focal", "binary_focal", Rank.WORD),
        ("focal binary", "binary_focal", Rank.WORD),
        ("net", "resnet18", Rank.INSIDE),
        ("cos warm", "cosine_annealing_warm_restarts", Rank.INSIDE),
        ("focla", "focal", Rank.FUZZY),
        ("adma", "adam", Rank.FUZZY),
        ("l1", "l2", None),
        ("focal", "dice", None),
    ],
)
def test_names_are_ranked(text: str, name: str, expected: Rank | None) -> None:
    """By how much of the name the text is, in any case and with any sign between words."""
    assert rank(text, name) is expected


def test_an_alias_is_a_name() -> None:
    """What leads to a component finds it."""
    assert rank("fl", "focal", "", "fl") is Rank.NAME


def test_a_summary_has_all_words_in_any_order() -> None:
    """Beginnings of words are enough; one that is missing is too much."""
    summary = "Binary focal loss for logits (Lin 2017)"
    assert rank("logit focal", "lin", summary) is Rank.SUMMARY
    assert rank("focal regression", "lin", summary) is None


def test_the_name_of_a_plugin_counts_as_a_word() -> None:
    """So that a name that several have is found with it."""
    assert rank("acme dice", "dice") is Rank.SUMMARY


def test_each_rank_is_better_than_the_next() -> None:
    """Name, beginning, word, inside, nearly, summary."""
    names = ["focal", "focal_dice", "focalnet", "binary_focal", "unifocal", "vocal"]
    found = [one for one in (rank("focal", name) for name in names) if one is not None]
    assert found == sorted({*found})
    assert len(found) == len(names)
    assert rank("focal", "lin", "A focal loss") == max(Rank)


def test_near_names_are_named_where_nothing_is_found() -> None:
    """At most three, the nearest first, also by a word of a name."""
    names = ["cross_entropy", "dice", "acme.tversky", "mse"]
    assert Query("entorpi").near(names) == ["cross_entropy"]
    assert Query("tverskij").near(names) == ["acme.tversky"]
    assert Query("xyzzy").near(names) == []


def test_a_text_of_any_length_is_searched_for() -> None:
    """Comparing costs the square of the length, so that of a long text only the beginning is compared."""
    assert rank("dice" * 100_000, "dice") is None
