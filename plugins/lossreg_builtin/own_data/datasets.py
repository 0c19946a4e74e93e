"""The table of data sets that are a person's own files. Nothing here imports what reads them."""

from __future__ import annotations

from lossreg import Dataset

_SPLIT = {"test": 0.2, "seed": 0}
_TABLE = {
    "features": None, "categorical": (), "numeric": (), "task": None, "missing": "error", "test": 0.2,
    "test_path": None, "seed": 0,
}  # fmt: skip

OWN_DATA = [
    Dataset(
        "image_folder",
        "lossreg_builtin.own_data.image_folder:load",
        "Your pictures: a folder for each class, or such folders in train/ and test/",
        defaults={"size": None, **_SPLIT, "augment": None, "normalize": False},
        required=("root",),
        model="small_cnn",
    ),
    Dataset(
        "csv",
        "lossreg_builtin.own_data.tables:load_csv",
        "Your CSV file: one column is predicted from the others",
        defaults=_TABLE,
        required=("path", "target"),
        model="mlp",
    ),
    Dataset(
        "parquet",
        "lossreg_builtin.own_data.tables:load_parquet",
        "Your Parquet file: one column is predicted from the others",
        defaults=_TABLE,
        required=("path", "target"),
        model="mlp",
    ),
    Dataset(
        "npz",
        "lossreg_builtin.own_data.arrays:load",
        "Your arrays, as numpy.savez writes them",
        defaults={"x": None, "y": None, "x_test": None, "y_test": None, "task": None, **_SPLIT},
        required=("path",),
        model="mlp",
    ),
]
