"""The table of torchvision's data sets of pictures, without torch.

A test compares the names of their classes with those of the installed torchvision: each has a row, or a reason why not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lossreg import Dataset

GREY, COLOUR = 1, 3  # channels
CLASS_MODEL = "resnet18"  # takes pictures of any size
MASK_MODEL = "lraspp_mobilenet_v3_large"
USUAL_SIDE = 224  # of the pictures that most models of torchvision were made for, in pixels


_BY_FLAG = ({"train": True}, {"train": False})


class Row(NamedTuple):
    """How a class of torchvision is read.

    Attributes:
        summary: One line.
        source: The name of the class.
        labels: Its attribute with the class of each sample; behind a colon, the place in a sample's pair. For a
            segmentation, that with the masks.
        places: What it has in its folder, and what a download would write: patterns.
        splits: The arguments for the training and the test split; None where there is one split alone, which is cut.
        images: Its attribute with all pictures, where they are in memory; else None.
        side: What pictures are resized to unless the user says otherwise; None leaves them as they are.
        channels: Of a picture.
        classes: Its attribute with the names of classes, or how many there are.
        options: Parameters that it takes besides: name -> what it can be, the first unless the user says otherwise.
        order: Its attribute by which samples are sorted, where it lists them as the file system does.
        ignored: The value of a mask that is no class.
        downloads: Whether it can be downloaded.
    """

    summary: str
    source: str
    labels: str
    places: tuple[str, ...]
    splits: tuple[Mapping[str, Any], Mapping[str, Any]] | None = ({"split": "train"}, {"split": "test"})
    images: str | None = None
    side: int | tuple[int, int] | None = USUAL_SIDE
    channels: int = COLOUR
    classes: str | int = "classes"
    options: Mapping[str, tuple[Any, ...]] = {}
    order: str | None = None
    ignored: int | None = None
    downloads: bool = True
    model: str = CLASS_MODEL


def _like_mnist(summary: str, source: str, classes: str | int = "classes", **options: tuple[Any, ...]) -> Row:
    return Row(
        summary,
        source,
        "targets",
        (f"{source}/raw",),
        _BY_FLAG,
        "data",
        None,
        GREY,
        classes,
        options,
        model="mnist_cnn",
    )


_AND_VALIDATION = ({"split": "train"}, {"split": "val"})
_IMAGES = "_image_files"

#: Name -> how it is read.
ROWS: Mapping[str, Row] = {
    "mnist": _like_mnist("70,000 handwritten digits, 28x28", "MNIST"),
    "fashion_mnist": _like_mnist("70,000 pictures of clothes, 28x28", "FashionMNIST"),
    "kmnist": _like_mnist("70,000 cursive Japanese characters, 28x28", "KMNIST"),
    "qmnist": _like_mnist("60,000 digits of MNIST, and 60,000 to test on, 28x28", "QMNIST"),
    "emnist": _like_mnist(
        "Handwritten letters and digits, upright, 28x28",
        "EMNIST",
        split=("balanced", "byclass", "bymerge", "letters", "digits", "mnist"),
    ),
    "cifar10": Row(
        "60,000 pictures of animals and vehicles, 32x32", "CIFAR10", "targets", ("cifar-10-*",), _BY_FLAG, "data", None
    ),
    "cifar100": Row(
        "60,000 pictures of 100 classes, 32x32", "CIFAR100", "targets", ("cifar-100-*",), _BY_FLAG, "data", None
    ),
    "svhn": Row(
        "99,289 house numbers, 32x32", "SVHN", "labels", ("*_32x32.mat",), images="data", side=None, classes=10
    ),
    "stl10": Row(
        "13,000 pictures of animals and vehicles, 96x96",
        "STL10",
        "labels",
        ("stl10_binary*",),
        images="data",
        side=None,
        classes=10,
    ),
    "usps": Row("9,298 handwritten digits, 16x16", "USPS", "targets", ("usps*.bz2",), _BY_FLAG, "data", None, GREY, 10),
    "semeion": Row(
        "1,593 handwritten digits, 16x16", "SEMEION", "labels", ("semeion.data",), None, "data", None, GREY, 10
    ),
    "fer2013": Row(
        "35,887 faces with one of 7 expressions, 48x48",
        "FER2013",
        "_samples:1",
        ("fer2013",),
        images="_samples",
        side=None,
        channels=GREY,
        classes=7,
        downloads=False,
    ),
    "caltech101": Row("8,677 pictures of 101 classes", "Caltech101", "y", ("caltech101",), None, classes="categories"),
    "caltech256": Row("30,607 pictures of 257 classes", "Caltech256", "y", ("caltech256",), None, classes="categories"),
    "clevr": Row(
        "85,000 drawn scenes with 3 to 10 objects, by their number",
        "CLEVRClassification",
        "_labels",
        ("clevr",),
        _AND_VALIDATION,
        classes=11,
    ),
    "country211": Row("52,750 photographs from 211 countries", "Country211", "targets", ("country211*",)),
    "dtd": Row(
        "3,760 textures of 47 classes",
        "DTD",
        "_labels",
        ("dtd",),
        options={"partition": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)},
    ),
    "eurosat": Row(
        "27,000 satellite pictures of 10 classes, 64x64", "EuroSAT", "targets", ("eurosat",), None, side=None
    ),
    "fgvc_aircraft": Row(
        "10,000 aircraft of 100 variants",
        "FGVCAircraft",
        "_labels",
        ("fgvc-aircraft-2013b*",),
        ({"split": "trainval"}, {"split": "test"}),
        options={"annotation_level": ("variant", "family", "manufacturer")},
    ),
    "flowers102": Row(
        "1,020 flowers of 102 classes, and 6,149 to test on", "Flowers102", "_labels", ("flowers-102",), classes=102
    ),
    "food101": Row("101,000 dishes of 101 classes", "Food101", "_labels", ("food-101*",)),
    "gtsrb": Row("39,270 German traffic signs of 43 classes", "GTSRB", "_samples:1", ("gtsrb",), side=32, classes=43),
    "imagenet": Row(
        "1.3 million pictures of 1,000 classes (ILSVRC 2012; no download)",
        "ImageNet",
        "targets",
        ("train", "val", "*.tar*", "meta.bin"),
        _AND_VALIDATION,
        downloads=False,
    ),
    "imagenette": Row(
        "13,394 pictures of 10 classes of ImageNet",
        "Imagenette",
        "_samples:1",
        ("imagenette2*",),
        _AND_VALIDATION,
        options={"archive": ("full", "320px", "160px")},
    ),
    "inaturalist": Row(
        "500,000 plants and animals of 10,000 kinds, and 100,000 to test on",
        "INaturalist",
        "index:0",
        ("2021_*",),
        ({}, {"version": "2021_valid"}),
        classes="all_categories",
        options={"version": ("2021_train_mini", "2021_train")},
        order="index",
    ),
    "oxford_iiit_pet": Row(
        "7,349 cats and dogs of 37 breeds",
        "OxfordIIITPet",
        "_labels",
        ("oxford-iiit-pet",),
        ({"split": "trainval"}, {"split": "test"}),
    ),
    "places365": Row(
        "1.8 million scenes of 365 classes",
        "Places365",
        "targets",
        ("places365*", "categories_places365.txt", "data_*", "val_*", "*.tar"),
        ({"split": "train-standard"}, {"split": "val"}),
        options={"small": (True, False)},
    ),
    "rendered_sst2": Row(
        "8,741 sentences as pictures, by their sentiment", "RenderedSST2", "_samples:1", ("rendered-sst2*",)
    ),
    "stanford_cars": Row(
        "16,185 cars of 196 models (no download)", "StanfordCars", "_samples:1", ("stanford_cars",), downloads=False
    ),
    "sun397": Row("108,754 scenes of 397 classes", "SUN397", "_labels", ("SUN397*",), None, order=_IMAGES),
    "cityscapes": Row(
        "3,475 street scenes, each pixel of one of 19 classes (no download)",
        "Cityscapes",
        "targets:0",
        ("leftImg8bit*", "gtFine*"),
        ({"split": "train", "target_type": "semantic"}, {"split": "val", "target_type": "semantic"}),
        side=(256, 512),
        classes=19,
        order="images",
        ignored=255,
        downloads=False,
    ),
    "oxford_iiit_pet_segmentation": Row(
        "7,349 cats and dogs, each pixel of pet, background or border",
        "OxfordIIITPet",
        "_segs",
        ("oxford-iiit-pet",),
        ({"split": "trainval"}, {"split": "test"}),
        classes=3,
        ignored=255,
    ),
    "sbd": Row(
        "11,355 photographs, each pixel of one of 21 classes",
        "SBDataset",
        "masks",
        ("img", "cls", "inst", "*.txt", "benchmark*"),
        ({"image_set": "train"}, {"image_set": "val"}),
        classes=21,
        ignored=255,
    ),
    "voc_segmentation": Row(
        "2,913 photographs, each pixel of one of 21 classes",
        "VOCSegmentation",
        "masks",
        ("VOCdevkit", "VOC*.tar", "TrainVal"),
        ({"image_set": "train"}, {"image_set": "val"}),
        classes=21,
        options={"year": ("2012", "2011", "2010", "2009", "2008", "2007")},
        ignored=255,
    ),
}

SEGMENTATION = frozenset({"cityscapes", "oxford_iiit_pet_segmentation", "sbd", "voc_segmentation"})

_NO_CLASSES = "its samples have captions or boxes, and no class"
_VIDEOS = "it is of videos"
_PAIRS = "it is of pairs of pictures, for their depth or motion"
_STRANGERS = "its test split has other classes than its training split"

#: Classes of torchvision that have no row -> why.
LEFT_OUT: Mapping[str, str] = {
    "CREStereo": _PAIRS,
    "CarlaStereo": _PAIRS,
    "CelebA": "a picture has 40 attributes, and its persons are others in each split",
    "CocoCaptions": _NO_CLASSES,
    "CocoDetection": _NO_CLASSES,
    "DatasetFolder": "image_folder reads folders of pictures",
    "ETH3DStereo": _PAIRS,
    "FakeData": "it is noise",
    "FallingThingsStereo": _PAIRS,
    "Flickr30k": _NO_CLASSES,
    "Flickr8k": _NO_CLASSES,
    "FlyingChairs": _PAIRS,
    "FlyingThings3D": _PAIRS,
    "HD1K": _PAIRS,
    "HMDB51": _VIDEOS,
    "ImageFolder": "image_folder reads folders of pictures",
    "InStereo2k": _PAIRS,
    "Kinetics": _VIDEOS,
    "Kitti": _NO_CLASSES,
    "Kitti2012Stereo": _PAIRS,
    "Kitti2015Stereo": _PAIRS,
    "KittiFlow": _PAIRS,
    "LFWPairs": _PAIRS,
    "LFWPeople": _STRANGERS,
    "LSUN": "its test split has no classes",
    "LSUNClass": "it has one class",
    "Middlebury2014Stereo": _PAIRS,
    "MovingMNIST": _VIDEOS,
    "Omniglot": _STRANGERS,
    "PCAM": "it is read by h5py alone, and takes 7 GB",
    "PhotoTour": _PAIRS,
    "SBU": _NO_CLASSES,
    "SceneFlowStereo": _PAIRS,
    "Sintel": _PAIRS,
    "SintelStereo": _PAIRS,
    "UCF101": _VIDEOS,
    "VOCDetection": _NO_CLASSES,
    "VisionDataset": "it is the class that the others are made of",
    "WIDERFace": _NO_CLASSES,
}


def defaults_of(row: Row) -> dict[str, Any]:
    """What a user may set, with what holds unless it is set."""
    split = {"test": 0.2, "seed": 0} if row.splits is None else {}
    return {
        "root": None,
        "size": row.side,
        "augment": None,
        "normalize": False,
        **{name: words[0] for name, words in row.options.items()},
        **split,
    }


def vision_datasets() -> list[Dataset]:
    """One record for each."""
    return [
        Dataset(
            name,
            f"lossreg_builtin.vision_data:{name}",
            row.summary,
            defaults=defaults_of(row),
            model=MASK_MODEL if name in SEGMENTATION else row.model,
        )
        for name, row in ROWS.items()
    ]
