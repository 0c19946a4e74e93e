"""The table of losses; nothing here imports torch."""

from __future__ import annotations

from typing import Any

from lossreg import Loss
from lossreg_builtin.torch_version import torch_version

_MEAN = {"reduction": "mean"}
_WEIGHTED: dict[str, Any] = {"weight": None, **_MEAN}
_CLASS_WEIGHTS = {"weight": "class_weights"}
#: What a number is compared with; a mean over all of them.
_NUMBERS: dict[str, Any] = {"target": "dense", "averages": "element"}

#: Of numbers to predict; for classes, of one-hot vectors.
_OF_NUMBERS = [
    Loss("l1", "torch.nn:L1Loss", "Mean absolute error", defaults=_MEAN, **_NUMBERS),
    Loss("mse", "torch.nn:MSELoss", "Mean squared error", defaults=_MEAN, **_NUMBERS),
    Loss(
        "huber",
        "torch.nn:HuberLoss",
        "Half the squared error, from delta on in proportion to the error (Huber 1964)",
        defaults={"delta": 1.0, **_MEAN},
        **_NUMBERS,
    ),
    Loss(
        "smooth_l1",
        "torch.nn:SmoothL1Loss",
        "Absolute error, rounded off below beta: huber with delta=beta, divided by beta (Girshick 2015)",
        defaults={"beta": 1.0, **_MEAN},
        **_NUMBERS,
    ),
    Loss(
        "poisson_nll",
        "torch.nn:PoissonNLLLoss",
        "Negative log-likelihood of counts, of whose expectation the output is the logarithm",
        defaults={"log_input": True, "full": False, "eps": 1e-8, **_MEAN},
        **_NUMBERS,
    ),
    Loss(
        "gaussian_nll",
        "torch.nn:GaussianNLLLoss",
        "Negative log-likelihood of numbers with a variance that is predicted, too (Nix and Weigend 1994)",
        defaults={"full": False, "eps": 1e-6, **_MEAN},
        takes=("input", "target", "var"),
        **_NUMBERS,
    ),
]

#: Of one class of several.
_OF_CLASSES = [
    Loss(
        "cross_entropy",
        "torch.nn:CrossEntropyLoss",
        "Negative log-likelihood of the softmax of the logits",
        defaults={**_WEIGHTED, "ignore_index": -100, "label_smoothing": 0.0},
        input="logits",
        target="index",
        averages="element",
        data_values=_CLASS_WEIGHTS,
    ),
    Loss(
        "nll",
        "torch.nn:NLLLoss",
        "Negative log-likelihood, of log-probabilities: cross_entropy in two steps",
        defaults={**_WEIGHTED, "ignore_index": -100},
        input="log_probabilities",
        target="index",
        averages="element",
        data_values=_CLASS_WEIGHTS,
        aliases=("nll2d",),  # NLLLoss2d is the same class with a warning that it is deprecated
    ),
    Loss(
        "kl_div",
        "torch.nn:KLDivLoss",
        "Kullback-Leibler divergence of the target's probabilities from those of the output, of a sample",
        # torch's mean divides by the classes, too, and warns that it is not the divergence.
        defaults={"reduction": "batchmean", "log_target": False},
        input="log_probabilities",
        target="probabilities",
        averages="sample",
    ),
    Loss(
        "multi_margin",
        "torch.nn:MultiMarginLoss",
        "Hinge loss of each class against the right one, to the power p",
        defaults={"p": 1, "margin": 1.0, **_WEIGHTED},
        input="logits",
        target="index",
        averages="sample",
        data_values=_CLASS_WEIGHTS,
    ),
    Loss(
        "dice",
        "lossreg_builtin.dice:DiceLoss",
        "1 - the Dice coefficient of softmax and one-hot target, per class over the batch",
        defaults={"smooth": 1e-5, **_MEAN},
        input="logits",
        target="index",
    ),
]

#: Of any number of classes of each sample.
_OF_LABELS = [
    Loss(
        "bce",
        "torch.nn:BCELoss",
        "Binary cross-entropy of each class by itself, of probabilities",
        defaults=_WEIGHTED,
        input="label_probabilities",
        target="multilabel",
        averages="element",
    ),
    Loss(
        "bce_with_logits",
        "torch.nn:BCEWithLogitsLoss",
        "Binary cross-entropy of each class by itself, of logits",
        defaults={**_WEIGHTED, "pos_weight": None},
        input="logits",
        target="multilabel",
        averages="element",
        data_values={"pos_weight": "pos_weights"},
    ),
    Loss(
        "soft_margin",
        "torch.nn:SoftMarginLoss",
        "Logistic loss of each class by itself: bce_with_logits of targets -1 and 1",
        defaults=_MEAN,
        input="logits",
        target="signs",
        averages="element",
    ),
    Loss(
        "multilabel_soft_margin",
        "torch.nn:MultiLabelSoftMarginLoss",
        "Binary cross-entropy of each class by itself, with a weight for each",
        defaults=_WEIGHTED,
        input="logits",
        target="multilabel",
        averages="sample",
        data_values=_CLASS_WEIGHTS,
    ),
    Loss(
        "multilabel_margin",
        "torch.nn:MultiLabelMarginLoss",
        "Hinge loss of each class that a sample lacks against each that it has",
        defaults=_MEAN,
        input="logits",
        target="label_lists",
        averages="sample",
    ),
]

#: Of what a run does not have: pairs, triplets, sequences of several lengths, what goes into the last layer.
_BY_HAND = [
    Loss(
        "hinge_embedding",
        "torch.nn:HingeEmbeddingLoss",
        "Of the distance of a pair: itself for a pair of a kind (1), else how much margin lacks (-1)",
        defaults={"margin": 1.0, **_MEAN},
        takes=("distance", "target"),
        target="signs",
        averages="element",
    ),
    Loss(
        "cosine_embedding",
        "torch.nn:CosineEmbeddingLoss",
        "Of the cosine of a pair: 1 - itself for a pair of a kind (1), else what it has above margin (-1)",
        defaults={"margin": 0.0, **_MEAN},
        takes=("input1", "input2", "target"),
        target="signs",
        averages="sample",
    ),
    Loss(
        "margin_ranking",
        "torch.nn:MarginRankingLoss",
        "Hinge loss of two scores, of which the first shall be greater (1) or smaller (-1)",
        defaults={"margin": 0.0, **_MEAN},
        takes=("input1", "input2", "target"),
        target="signs",
        averages="element",
    ),
    Loss(
        "triplet_margin",
        "torch.nn:TripletMarginLoss",
        "Hinge loss of the distances from an anchor: to one of its kind, and to one of another",
        defaults={"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": False, **_MEAN},
        takes=("anchor", "positive", "negative"),
        target=None,
        averages="sample",
    ),
    Loss(
        "triplet_margin_with_distance",
        "torch.nn:TripletMarginWithDistanceLoss",
        "triplet_margin with a distance of one's own, a function of two batches",
        defaults={"distance_function": None, "margin": 1.0, "swap": False, **_MEAN},
        takes=("anchor", "positive", "negative"),
        target=None,
        averages="sample",
    ),
    Loss(
        "ctc",
        "torch.nn:CTCLoss",
        "Connectionist temporal classification of sequences (Graves et al. 2006)",
        defaults={"blank": 0, **_MEAN, "zero_infinity": False},
        input="log_probabilities",
        takes=("input", "target", "input_lengths", "target_lengths"),
        target="index",
        averages="sample",
    ),
    Loss(
        "linear_cross_entropy",
        "torch.nn:LinearCrossEntropyLoss",
        "Cross-entropy with the last linear layer in it, which saves memory where there are many classes",
        defaults={"out_features": (), "bias": False, **_WEIGHTED, "ignore_index": None, "label_smoothing": 0.0},
        required=("in_features", "num_classes"),
        takes=("features", "target"),
        target="index",
        averages="element",
    ),
    Loss(
        "adaptive_log_softmax_with_loss",
        "torch.nn:AdaptiveLogSoftmaxWithLoss",
        "Cross-entropy with a last layer for very many classes, smaller for the rare ones (Grave et al. 2017)",
        defaults={"div_value": 4.0, "head_bias": False},
        required=("in_features", "n_classes", "cutoffs"),
        takes=("features", "target"),
        target="index",
        averages="sample",
    ),
]

#: Row -> the version of torch that first has its class, where the oldest that lossreg takes does not.
_SINCE = {"linear_cross_entropy": (2, 13)}

_ALL = (*_OF_NUMBERS, *_OF_CLASSES, *_OF_LABELS, *_BY_HAND)
_INSTALLED = torch_version()
LOSSES = [row for row in _ALL if _SINCE.get(row.name, (0, 0)) <= _INSTALLED]
