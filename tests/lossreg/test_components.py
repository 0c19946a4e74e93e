"""Records, the names in them, and the facts of a data set."""

from __future__ import annotations

import keyword
import math
import pickle
from typing import Any

import attrs
import pytest
import torch

from lossreg.component import KINDS, Component
from lossreg.components import Dataset, Loss, Metric, Model, Observer, Optimizer, Scheduler
from lossreg.data import Data
from lossreg.errors import ComponentError, DataError
from lossreg.expression import WORDS
from lossreg.names import RESERVED, check_name, normalize
from tests.table import for_each

RECORDS: dict[str, Component] = {
    "loss": Loss("l1", "torch.nn:L1Loss", "Mean absolute error", target="dense"),
    "optimizer": Optimizer("sgd", "torch.optim:SGD", "Stochastic gradient descent"),
    "scheduler": Scheduler("step_lr", "torch.optim.lr_scheduler:StepLR", "Steps"),
    "model": Model("mlp", "acme.models:mlp", "A perceptron"),
    "dataset": Dataset("digits", "acme.data:digits", "Digits", model="mlp"),
    "metric": Metric("f1", "acme.metrics:F1", "F1", better="higher", target="index"),
    "observer": Observer("tracker", "acme.tracking:Tracker", "A tracker"),
}


def make(record: str, **fields: Any) -> Component:
    """A record of a kind, with some fields replaced by values of any type."""
    return attrs.evolve(RECORDS[record], **fields)


# Names


@for_each(
    ("written", "name"),
    [
        ("dice", "dice"),
        ("Dice", "dice"),
        ("cross-entropy", "cross_entropy"),
        (" Cross-Entropy\n", "cross_entropy"),
        ("Acme-X.Soft-Dice", "acme_x.soft_dice"),
        ("L1", "l1"),
    ],
)
def test_names_are_compared_in_lower_case_with_underscores(written: str, name: str) -> None:
    """A name is looked up in lower case, with `_` for `-` and without blanks around it."""
    assert normalize(written) == name


GOOD_NAMES = [
    "l1",
    "dice",
    "cross_entropy",
    "a",
    "x2_y3",
    "sgd",
    "match",
    "type",
    "minimum",
    "epoch_lr",
    "auto_lr",
    "e2",
]
BAD_NAMES = {
    "empty": "",
    "upper case": "Dice",
    "mixed case": "crossEntropy",
    "dash": "cross-entropy",
    "dot": "acme.dice",
    "blank": "soft dice",
    "blank at the end": "dice ",
    "line end": "dice\n",
    "digit first": "1d",
    "underscore first": "_dice",
    "underscore alone": "_",
    "two underscores": "soft__dice",
    "dunder": "__init__",
    "letter outside ASCII": "dicé",
    "digit outside ASCII": "dice²",
    "fullwidth letter": "ｄice",
    "parentheses": "dice()",
    "null byte": "dice\x00",
    "None itself": None,
    "number": 5,
    "bytes": b"dice",
}


@for_each("name", GOOD_NAMES)
@for_each("kind", KINDS)
def test_a_lower_case_identifier_names_a_component(kind: str, name: str) -> None:
    """A lower-case Python identifier that means nothing else is a name."""
    assert make(kind, name=name).name == name


@for_each("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
@for_each("kind", KINDS)
def test_another_name_is_refused(kind: str, name: object) -> None:
    """Whatever is no lower-case ASCII identifier is a ComponentError that names the kind and the name."""
    with pytest.raises(ComponentError) as caught:
        make(kind, name=name)
    assert kind in str(caught.value)
    assert repr(name) in str(caught.value)


@for_each("name", [word for word in keyword.kwlist if word.islower()])
def test_a_keyword_of_python_is_refused(name: str) -> None:
    """A keyword of Python names nothing."""
    with pytest.raises(ComponentError, match=name):
        check_name(name, "a loss")


@for_each("name", sorted(WORDS))
def test_a_word_of_the_expression_language_is_refused(name: str) -> None:
    """A word that means something in an expression names nothing."""
    with pytest.raises(ComponentError, match=name):
        check_name(name, "a loss")


@for_each("name", ["none", "inf", "nan", "true", "false", "auto"])
def test_a_word_of_specs_is_refused(name: str) -> None:
    """A word that means something in a spec or on the command line names nothing."""
    with pytest.raises(ComponentError, match=name):
        check_name(name, "a loss")


def test_every_word_of_the_expression_language_is_reserved() -> None:
    """The reserved words hold every word of the expression language."""
    assert WORDS <= RESERVED


# Factories


@for_each(
    "factory",
    ["torch.nn:L1Loss", "acme:f", "_acme._x:_f", "acme.x:Class.method", torch.nn.L1Loss, lambda: None],
    ids=lambda factory: getattr(factory, "__name__", factory),
)
def test_a_factory_is_a_target_or_a_callable(factory: object) -> None:
    """A factory is `module:attribute` or anything that can be called."""
    assert make("loss", factory=factory).factory is factory


@for_each(
    "factory",
    [
        "",
        "torch.nn.L1Loss",
        "torch.nn:",
        ":L1Loss",
        ":",
        "a:b:c",
        "a b:c",
        "a:b c",
        "a:b()",
        "1a:b",
        "a:1b",
        "a-b:c",
        "a/b.py:c",
        " a:b",
        "a:b\n",
        None,
        5,
        b"a:b",
        ("a", "b"),
    ],
    ids=repr,
)
def test_another_factory_is_refused(factory: object) -> None:
    """A factory that is neither a target nor callable is a ComponentError that names the component."""
    with pytest.raises(ComponentError, match=r"loss 'l1' has factory="):
        make("loss", factory=factory)


def test_making_a_record_imports_nothing() -> None:
    """The module of a factory is not imported, so it need not be there when the record is made."""
    assert Loss("mine", "no_such_module_at_all:Loss", target="index").factory == "no_such_module_at_all:Loss"


# What a runner supplies


@for_each(
    "supplied",
    [
        "params",
        "optimizer",
        "epochs",
        "total_steps",
        "steps_per_epoch",
        "num_classes",
        "in_channels",
        "in_features",
        "in_shape",
        "out_features",
    ],
)
def test_a_runner_supplies_the_runtime_names(supplied: str) -> None:
    """Each runtime name can be asked for under any parameter's name."""
    assert make("scheduler", runtime_args={"T_max": supplied}).runtime_args == {"T_max": supplied}


@for_each("supplied", ["epoch", "lr", "", "Epochs", "T_max", None, 5])
def test_what_no_runner_supplies_is_refused(supplied: object) -> None:
    """Another runtime name is a ComponentError that says what a runner supplies."""
    with pytest.raises(ComponentError, match=r"scheduler 'step_lr'.*'T_max'.*steps_per_epoch"):
        make("scheduler", runtime_args={"T_max": supplied})


# Contracts

#: What a loss declares that takes what a run has.
FED: dict[str, object] = {"takes": ("input", "target"), "data_values": {}}

#: What an optimizer declares that leaves all to a trial.
UNSAID: dict[str, object] = {
    "closure": None, "modes": None, "needs": None, "create_graph": None, "layout": None, "wrapped": {},
    "routes": "all",
}  # fmt: skip


@for_each(
    ("kind", "fields", "contract"),
    [
        ("loss", {"target": "index"}, {"target": "index", "input": "any", "averages": None, **FED}),
        (
            "loss",
            {"target": "dense", "input": "probabilities", "averages": "element"},
            {"target": "dense", "input": "probabilities", "averages": "element", **FED},
        ),
        ("optimizer", {}, UNSAID),
        ("optimizer", {"closure": True, "needs": "gradients"}, {**UNSAID, "closure": True, "needs": ("gradients",)}),
        ("optimizer", {"closure": True, "routes": "matrices"}, {**UNSAID, "closure": True, "routes": "matrices"}),
        ("scheduler", {}, {"interval": "epoch", "monitor": None, "composes": False}),
        (
            "scheduler",
            {"interval": "step", "monitor": "test_loss", "composes": True},
            {"interval": "step", "monitor": "test_loss", "composes": True},
        ),
        ("model", {}, {}),
        ("dataset", {"model": "mlp"}, {"model": "mlp"}),
    ],
)
def test_a_contract_holds_what_the_kind_adds(kind: str, fields: dict[str, object], contract: dict[str, object]) -> None:
    """contract() holds the fields of the kind, with their defaults, and nothing that all records have."""
    assert make(kind, **fields).contract() == contract


@for_each(
    ("kind", "field", "word"),
    [
        ("loss", "target", "Index"),
        ("loss", "target", "class"),
        ("loss", "target", None),
        ("loss", "target", ["index"]),
        ("loss", "input", "logit"),
        ("loss", "input", None),
        ("loss", "averages", "batch"),
        ("loss", "averages", "none"),
        ("loss", "averages", True),
        ("optimizer", "closure", "yes"),
        ("optimizer", "closure", 2),
        ("optimizer", "modes", "train"),
        ("optimizer", "create_graph", "yes"),
        ("optimizer", "layout", "channels_last"),
        ("optimizer", "routes", "some"),
        ("optimizer", "routes", None),
        ("scheduler", "interval", "batch"),
        ("scheduler", "interval", None),
    ],
)
def test_another_word_in_a_contract_is_refused(kind: str, field: str, word: object) -> None:
    """A word that no runner understands is a ComponentError that names component, field and word."""
    with pytest.raises(ComponentError) as caught:
        make(kind, **{field: word})
    assert f"{RECORDS[kind].what} has {field}={word!r}" in str(caught.value)


def test_a_loss_says_what_its_target_is() -> None:
    """A loss without `target` is not made: there is no default that would be safe."""
    with pytest.raises(TypeError, match="target"):
        Loss("mine", "acme:f")  # type: ignore[call-arg]  # what is tested


def test_a_data_set_names_a_model() -> None:
    """A data set without `model` is not made."""
    with pytest.raises(TypeError, match="model"):
        Dataset("mine", "acme:f")  # type: ignore[call-arg]  # what is tested


@for_each(("kind", "leading"), [("loss", 0), ("optimizer", 1), ("scheduler", 1), ("model", 0), ("dataset", 0)])
def test_optimizers_and_schedulers_have_one_leading_argument(kind: str, leading: int) -> None:
    """The factory of an optimizer takes the weights first, that of a scheduler the optimizer; others take nothing."""
    assert RECORDS[kind].positional_args == leading


@for_each("kind", KINDS)
def test_a_record_knows_its_kind(kind: str) -> None:
    """A record says of which kind it is, in a word and in error messages."""
    record = RECORDS[kind]
    assert record.kind == kind
    assert record.what == f"{kind} '{record.name}'"


def test_known_parameters_are_those_that_the_record_names() -> None:
    """The known parameters are the required ones, those with defaults and those that a runner supplies."""
    record = make("scheduler", required=["gamma"], defaults={"eta_min": 0.0}, runtime_args={"T_max": "epochs"})
    assert record.known_parameters == ["gamma", "eta_min", "T_max"]


# A record is data


@for_each("kind", KINDS)
def test_a_record_cannot_be_changed(kind: str) -> None:
    """No field of a record can be set after it was made, and none can be added."""
    record = RECORDS[kind]
    for field in [*(field.name for field in attrs.fields(type(record))), "other"]:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(record, field, "changed")


def test_a_record_keeps_nothing_of_what_it_was_made_from() -> None:
    """A mapping or list that changes later does not change the record."""
    defaults, runtime_args, required = {"lr": 0.1}, {"T_max": "epochs"}, ["gamma"]
    record = make("scheduler", defaults=defaults, runtime_args=runtime_args, required=required)
    defaults["lr"] = 0.5
    runtime_args.clear()
    required.append("other")
    assert (record.defaults, record.runtime_args, record.required) == ({"lr": 0.1}, {"T_max": "epochs"}, ("gamma",))


@for_each("kind", KINDS)
def test_records_are_equal_by_their_fields(kind: str) -> None:
    """Records with the same fields are equal, and others are not."""
    assert make(kind) == RECORDS[kind]
    assert make(kind, summary="another") != RECORDS[kind]


@for_each("kind", KINDS)
def test_a_record_survives_pickling(kind: str) -> None:
    """A record whose factory is a target survives pickling."""
    record = RECORDS[kind]
    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301  # our own bytes


def test_what_a_kind_adds_is_given_by_name() -> None:
    """Only name, factory and summary can be given by position."""
    optimizer: Any = Optimizer
    with pytest.raises(TypeError):
        optimizer("sgd", "torch.optim:SGD", "", True)


# Data sets


INPUTS = torch.zeros(4, 1, 2, 3)
SPLIT = (INPUTS, torch.zeros(4, dtype=torch.int64))


def data(**facts: Any) -> Data:
    """A data set for classification, with some facts replaced by values of any type."""
    return Data(
        **{"train": SPLIT, "test": SPLIT, "task": "classification", "in_shape": (1, 2, 3), "num_classes": 5, **facts}
    )


@for_each("task", ["classification", "segmentation"])
def test_a_data_set_of_classes_has_as_many_outputs_as_classes(task: str) -> None:
    """For classification and segmentation a model gives a number per class."""
    assert data(task=task, num_classes=7).outputs == 7


def test_a_data_set_of_numbers_has_as_many_outputs_as_numbers() -> None:
    """For regression a model gives the predicted numbers."""
    assert data(task="regression", num_classes=None, out_features=2).outputs == 2


@for_each("shape", [(10,), (1, 28, 28), (3, 4, 5, 6), ()])
def test_in_features_are_the_numbers_of_one_input(shape: tuple[int, ...]) -> None:
    """in_features is the number of elements of a tensor of the input's shape."""
    assert data(in_shape=shape).in_features == torch.zeros(shape).numel() == math.prod(shape)


def test_facts_are_what_models_may_ask_for() -> None:
    """facts() holds the runtime arguments of models: shape, features, channels and outputs."""
    assert data(in_shape=(3, 4, 5), num_classes=7).facts() == {
        "in_shape": (3, 4, 5),
        "in_features": 60,
        "in_channels": 3,
        "num_classes": 7,
        "out_features": 7,
    }


@for_each("task", ["", "Classification", "classify", "detection", None, 5, ["classification"]])
def test_another_task_is_refused(task: object) -> None:
    """A task that no runner knows is a DataError that lists those that it knows."""
    with pytest.raises(DataError, match="classification, regression, segmentation"):
        data(task=task)


@for_each("count", [None, 0, -1, 2.0, "5", True], ids=repr)
@for_each(
    ("task", "needed"),
    [("classification", "num_classes"), ("segmentation", "num_classes"), ("regression", "out_features")],
)
def test_a_data_set_says_how_many_outputs_there_are(task: str, needed: str, count: object) -> None:
    """Classes, or predicted numbers, are a whole number of at least 1; else it is a DataError that names the fact."""
    other = "out_features" if needed == "num_classes" else "num_classes"
    with pytest.raises(DataError, match=needed):
        data(task=task, **{needed: count, other: 5})


@for_each("shape", [(0,), (1, 0, 3), (-1,), (1.0,), ("28",), (None,), (True, 28), "28"], ids=repr)
def test_a_shape_holds_sizes(shape: object) -> None:
    """A shape whose sizes are not whole numbers of at least 1 is a DataError."""
    with pytest.raises(DataError, match="in_shape"):
        data(in_shape=shape)


@for_each("shape", [28, None, 2.5], ids=repr)
def test_a_shape_is_a_tuple(shape: object) -> None:
    """A shape that is no tuple or list, as `10` for `(10,)`, is a DataError."""
    with pytest.raises(DataError, match="in_shape"):
        data(in_shape=shape)


def test_a_shape_may_be_a_list_or_the_size_of_a_tensor() -> None:
    """A shape is kept as a tuple, whatever sequence it was given as."""
    assert data(in_shape=[1, 2, 3]).in_shape == data(in_shape=INPUTS.shape[1:]).in_shape == (1, 2, 3)


def test_a_data_set_cannot_be_changed() -> None:
    """The facts of a data set are frozen."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        data().task = "regression"  # type: ignore[misc]  # what is tested


def test_repr_does_not_show_the_data() -> None:
    """The repr of a data set shows its facts and not its tensors."""
    assert "tensor" not in repr(data())
    assert "num_classes=5" in repr(data())
