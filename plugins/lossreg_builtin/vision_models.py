"""The table of torchvision's models for classification and segmentation, without torch.

All of them have been in torchvision since 0.14. A test compares the names with those of the installed torchvision, and
the numbers of parameters, for 1,000 classes and for 21, with what torchvision says of its weights.
"""

from __future__ import annotations

from lossreg import Model

#: Who described a model; the smallest side of a picture that it takes, in pixels; and each of that family, with its
#: parameters in millions.
_CLASSIFICATION: tuple[tuple[str, int, dict[str, float]], ...] = (
    ("AlexNet (Krizhevsky 2014)", 63, {"alexnet": 61.1}),
    (
        "ConvNeXt (Liu and others 2022)",
        32,
        {"convnext_tiny": 28.6, "convnext_small": 50.2, "convnext_base": 88.6, "convnext_large": 197.8},
    ),
    (
        "DenseNet (Huang and others 2016)",
        29,
        {"densenet121": 8.0, "densenet169": 14.1, "densenet201": 20.0, "densenet161": 28.7},
    ),
    (
        "EfficientNet (Tan and Le 2019)",
        1,
        {
            "efficientnet_b0": 5.3,
            "efficientnet_b1": 7.8,
            "efficientnet_b2": 9.1,
            "efficientnet_b3": 12.2,
            "efficientnet_b4": 19.3,
            "efficientnet_b5": 30.4,
            "efficientnet_b6": 43.0,
            "efficientnet_b7": 66.3,
        },
    ),
    (
        "EfficientNet V2 (Tan and Le 2021)",
        1,
        {"efficientnet_v2_s": 21.5, "efficientnet_v2_m": 54.1, "efficientnet_v2_l": 118.5},
    ),
    ("GoogLeNet (Szegedy and others 2014)", 15, {"googlenet": 6.6}),
    ("Inception V3 (Szegedy and others 2015)", 75, {"inception_v3": 27.2}),
    ("MaxViT (Tu and others 2022)", 1, {"maxvit_t": 30.9}),
    ("MNASNet (Tan and others 2018)", 1, {"mnasnet0_5": 2.2, "mnasnet0_75": 3.2, "mnasnet1_0": 4.4, "mnasnet1_3": 6.3}),
    ("MobileNet V2 (Sandler and others 2018)", 1, {"mobilenet_v2": 3.5}),
    ("MobileNet V3 (Howard and others 2019)", 1, {"mobilenet_v3_small": 2.5, "mobilenet_v3_large": 5.5}),
    (
        "RegNet X (Radosavovic and others 2020)",
        1,
        {
            "regnet_x_400mf": 5.5,
            "regnet_x_800mf": 7.3,
            "regnet_x_1_6gf": 9.2,
            "regnet_x_3_2gf": 15.3,
            "regnet_x_8gf": 39.6,
            "regnet_x_16gf": 54.3,
            "regnet_x_32gf": 107.8,
        },
    ),
    (
        "RegNet Y (Radosavovic and others 2020)",
        1,
        {
            "regnet_y_400mf": 4.3,
            "regnet_y_800mf": 6.4,
            "regnet_y_1_6gf": 11.2,
            "regnet_y_3_2gf": 19.4,
            "regnet_y_8gf": 39.4,
            "regnet_y_16gf": 83.6,
            "regnet_y_32gf": 145.0,
            "regnet_y_128gf": 644.8,
        },
    ),
    (
        "ResNet (He and others 2015)",
        1,
        {"resnet18": 11.7, "resnet34": 21.8, "resnet50": 25.6, "resnet101": 44.5, "resnet152": 60.2},
    ),
    ("ResNeXt (Xie and others 2016)", 1, {"resnext50_32x4d": 25.0, "resnext101_64x4d": 83.5, "resnext101_32x8d": 88.8}),
    (
        "ShuffleNet V2 (Ma and others 2018)",
        1,
        {"shufflenet_v2_x0_5": 1.4, "shufflenet_v2_x1_0": 2.3, "shufflenet_v2_x1_5": 3.5, "shufflenet_v2_x2_0": 7.4},
    ),
    ("SqueezeNet 1.0 (Iandola and others 2016)", 21, {"squeezenet1_0": 1.2}),
    ("SqueezeNet 1.1 (Iandola and others 2016)", 17, {"squeezenet1_1": 1.2}),
    ("Swin transformer (Liu and others 2021)", 4, {"swin_t": 28.3, "swin_s": 49.6, "swin_b": 87.8}),
    ("Swin transformer V2 (Liu and others 2021)", 4, {"swin_v2_t": 28.4, "swin_v2_s": 49.7, "swin_v2_b": 87.9}),
    (
        "VGG (Simonyan and Zisserman 2014)",
        32,
        {
            "vgg11": 132.9,
            "vgg11_bn": 132.9,
            "vgg13": 133.0,
            "vgg13_bn": 133.1,
            "vgg16": 138.4,
            "vgg16_bn": 138.4,
            "vgg19": 143.7,
            "vgg19_bn": 143.7,
        },
    ),
    (
        "Vision transformer (Dosovitskiy and others 2020)",
        1,
        {"vit_b_16": 86.6, "vit_b_32": 88.2, "vit_l_16": 304.3, "vit_l_32": 306.5, "vit_h_14": 633.5},
    ),
    ("Wide ResNet (Zagoruyko and Komodakis 2016)", 1, {"wide_resnet50_2": 68.9, "wide_resnet101_2": 126.9}),
)

_SEGMENTATION: tuple[tuple[str, int, dict[str, float]], ...] = (
    ("FCN for segmentation (Long and others 2014)", 1, {"fcn_resnet50": 35.3, "fcn_resnet101": 54.3}),
    (
        "DeepLab V3 for segmentation (Chen and others 2017)",
        1,
        {"deeplabv3_mobilenet_v3_large": 11.0, "deeplabv3_resnet50": 42.0, "deeplabv3_resnet101": 61.0},
    ),
    ("LR-ASPP for segmentation (Howard and others 2019)", 1, {"lraspp_mobilenet_v3_large": 3.2}),
)

SEGMENTATION = frozenset(name for _, _, sizes in _SEGMENTATION for name in sizes)

_ALL = (*_CLASSIFICATION, *_SEGMENTATION)

#: Name -> what it is, in one line.
MODELS = {name: f"{title}, {size} million parameters" for title, _, sizes in _ALL for name, size in sizes.items()}

#: Name -> the smallest side of a picture that it takes, in pixels.
LEAST_SIDE = {name: side for _, side, sizes in _ALL for name in sizes}

_RUNTIME = {"num_classes": "num_classes", "in_channels": "in_channels", "in_shape": "in_shape"}


def vision_models() -> list[Model]:
    """One record for each."""
    return [
        Model(name, f"lossreg_builtin.vision:{name}", summary, defaults={"weights": None}, runtime_args=_RUNTIME)
        for name, summary in MODELS.items()
    ]
