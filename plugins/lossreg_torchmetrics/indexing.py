"""What torchmetrics has; this imports it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torchmetrics
import torchmetrics.classification
import torchmetrics.clustering
import torchmetrics.image
import torchmetrics.segmentation

from lossreg_bridges.candidates import Candidate, candidate, first_sentence, name_of

DISTRIBUTION = "torchmetrics"

#: Those of numbers, pictures and sounds, whose target is like the output.
_DENSE = frozenset(
    {
        "ConcordanceCorrCoef", "CosineSimilarity", "CriticalSuccessIndex", "ErrorRelativeGlobalDimensionlessSynthesis",
        "ExplainedVariance", "KendallRankCorrCoef", "LogCoshError", "MeanAbsoluteError", "MeanAbsolutePercentageError",
        "MeanSquaredError", "MeanSquaredLogError", "MinkowskiDistance", "MultiScaleStructuralSimilarityIndexMeasure",
        "NormalizedRootMeanSquaredError", "PeakSignalNoiseRatio", "PearsonCorrCoef", "R2Score",
        "RelativeAverageSpectralError", "RelativeSquaredError", "RootMeanSquaredErrorUsingSlidingWindow",
        "ScaleInvariantSignalDistortionRatio", "ScaleInvariantSignalNoiseRatio", "SignalDistortionRatio",
        "SignalNoiseRatio", "SpearmanCorrCoef", "SpectralAngleMapper", "SpectralDistortionIndex",
        "StructuralSimilarityIndexMeasure", "SymmetricMeanAbsolutePercentageError", "TweedieDevianceScore",
        "UniversalImageQualityIndex", "WeightedMeanAbsolutePercentageError",
    }
)  # fmt: skip

#: Those that compare two labellings.
_LABELS = frozenset({"CramersV", "PearsonsContingencyCoefficient", "TheilsU", "TschuprowsT"})
#: Those of clusterings that compare two labellings, and those of segmentations.
_CLUSTERS = (
    "AdjustedMutualInfoScore", "AdjustedRandScore", "CompletenessScore", "FowlkesMallowsIndex", "HomogeneityScore",
    "MutualInfoScore", "NormalizedMutualInfoScore", "RandScore", "VMeasureScore",
)  # fmt: skip
_SEGMENTS = ("DiceScore", "GeneralizedDiceScore", "MeanIoU")
_FURTHER_PICTURES = ("SpatialCorrelationCoefficient", "VisualInformationFidelity")

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "EER": {"average": "macro"},
    "LogAUC": {"average": "macro"},
    "MulticlassEER": {"average": "macro"},
    "MulticlassFBetaScore": {"beta": 1.0},
    "MulticlassLogAUC": {"average": "macro"},
    "MultilabelEER": {"average": "macro"},
    "MultilabelFBetaScore": {"beta": 1.0},
    "MultilabelLogAUC": {"average": "macro"},
    "CriticalSuccessIndex": {"threshold": 0.5},
    "MinkowskiDistance": {"p": 2.0},
    "PeakSignalNoiseRatio": {"data_range": 1.0},
    "CosineSimilarity": {"reduction": "mean"},
}


def candidates() -> Iterator[Candidate]:
    """Those of the package, then those of classes by the name of their task."""
    for attribute in sorted(torchmetrics.__all__):
        found = getattr(torchmetrics, attribute)
        if isinstance(found, type):
            yield _of_package(attribute, found)
    for attribute in sorted(torchmetrics.classification.__all__):
        if attribute.startswith(("Binary", "Multiclass", "Multilabel")):
            yield _of_task(attribute, getattr(torchmetrics.classification, attribute))
    for module, names, defaults in (
        (torchmetrics.clustering, _CLUSTERS, {}),
        (torchmetrics.segmentation, _SEGMENTS, {"input_format": "index"}),
    ):
        for attribute in names:
            found, target = getattr(module, attribute), f"{module.__name__}:{attribute}"
            yield _candidate(name_of(attribute, "metric"), target, found, found, "labels", "index", defaults)
    for attribute in _FURTHER_PICTURES:
        found, target = getattr(torchmetrics.image, attribute), f"torchmetrics.image:{attribute}"
        yield _candidate(name_of(attribute, "metric"), target, found, found, "any", "dense", {})


def _of_package(attribute: str, found: Any) -> Candidate:
    name, target = name_of(attribute, "metric"), f"torchmetrics:{attribute}"
    many = getattr(torchmetrics.classification, f"Multiclass{attribute}", None)
    if many is not None:
        return _candidate(
            name, target, found, many, "probabilities", "index", {"task": "multiclass", **_DEFAULTS.get(attribute, {})}
        )
    if attribute in _LABELS:
        return _candidate(name, target, found, found, "labels", "index", {})
    if attribute in _DENSE:
        return _candidate(name, target, found, found, "any", "dense", _DEFAULTS.get(attribute, {}))
    return Candidate("metric", name, target, {}, "it does not compare the output of a model with targets")


def _of_task(attribute: str, found: Any) -> Candidate:
    name, target = name_of(attribute, "metric"), f"torchmetrics.classification:{attribute}"
    if attribute.startswith("Binary"):
        return Candidate("metric", name, target, {}, "there is no task of its kind; the one for more classes takes two")
    if attribute.startswith("Multilabel"):
        return _candidate(name, target, found, found, "probabilities", "multilabel", _DEFAULTS.get(attribute, {}))
    return _candidate(name, target, found, found, "probabilities", "index", _DEFAULTS.get(attribute, {}))


def _candidate(
    name: str, target: str, found: Any, knows: Any, given: str, compared: str, defaults: Mapping[str, Any]
) -> Candidate:
    """A metric; `knows` is the class that says which values are better."""
    higher = knows.higher_is_better
    own = inspect.signature(found).parameters
    bounds = [getattr(knows, name, None) for name in ("plot_lower_bound", "plot_upper_bound")]
    is_number = bounds[0] != bounds[1] and all(
        isinstance(bound, int | float | None) and not isinstance(bound, bool) for bound in bounds
    )
    return candidate(
        "metric",
        name,
        target,
        found,
        defaults=defaults,
        supplied={"num_classes": "num_classes", "num_labels": "num_classes", "ignore_index": "ignore_index"},
        hidden=("validate_args", "kwargs") + (() if "task" not in own else ("threshold", "num_labels")),
        summary=first_sentence(knows),
        better=None if higher is None else "higher" if higher else "lower",
        input=given,
        target=compared,
        bounds=bounds if is_number else (None, None),
    )
