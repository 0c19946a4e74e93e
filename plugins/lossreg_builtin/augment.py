"""Augmentation by name: transforms of torchvision.transforms.v2 as texts, `random_crop(32, padding=4)`."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from lossreg.errors import DataError, SpecError, describe_error
from lossreg.spec_hints import MAX_LENGTH
from lossreg.spec_text import parse_value
from lossreg.suggestions import did_you_mean
from lossreg.values import shown
from lossreg_builtin.transform_names import REFUSED, transforms_by_name

if TYPE_CHECKING:
    from torchvision.transforms.v2 import Transform

MAX_DEPTH = 20  # of texts in texts, as in random_apply([...])

#: What sees the whole picture, before it is brought to the data set's size, where it stands first.
WHOLE_PICTURE = "random_resized_crop"


@attrs.frozen(eq=False)
class Augmentation:
    """Transforms, one after the other, that change training pictures at random.

    They draw from torch's generator alone, which a run seeds for each sample and epoch.

    Attributes:
        texts: As they were written.
        transforms: Built from them.
        wants_whole: Whether the first of them takes pictures of any size, and gives the data set's.
    """

    texts: tuple[str, ...]
    transforms: tuple[Transform, ...]
    wants_whole: bool

    def __call__(self, picture: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Changes a picture, and its mask in the same way.

        Args:
            picture: `(C, H, W)`, uint8.
            mask: `(H, W)`, uint8; None for a classification.

        Returns:
            Both as plain tensors.

        Raises:
            DataError: If a transform fails, with its text.
        """
        sample: tuple[Any, ...] = (picture,)  # a plain tensor is a picture to them, and quicker
        if mask is not None:
            from torchvision import tv_tensors

            sample = (tv_tensors.Image(picture), tv_tensors.Mask(mask))
        for text, transform in zip(self.texts, self.transforms, strict=True):
            try:
                result = transform(*sample)
            except Exception as error:  # its value may not fit this picture
                raise DataError(
                    f"augment: {text} fails on a picture of {_size(sample[0])}: {describe_error(error)}"
                ) from error
            sample = result if isinstance(result, tuple) else (result,)
        changed = [part.as_subclass(torch.Tensor).contiguous() for part in sample]
        return changed[0], None if mask is None else changed[1]

    def check(self, picture: Tensor, shape: tuple[int, ...], mask: Tensor | None = None) -> None:
        """Tries them on a picture, and leaves torch's generator as it was.

        Args:
            picture: `(C, H, W)`, uint8.
            shape: What they have to give: that of the pictures of the other splits.
            mask: The mask of a segmentation.

        Raises:
            DataError: If one fails, or they give another shape.
        """
        with torch.random.fork_rng(devices=[]):
            changed, _ = self(picture, mask)
        if tuple(changed.shape) == shape:
            return
        channels, height, width = shape
        if changed.shape[0] != channels:
            raise DataError(
                f"augment: {', '.join(self.texts)} gives pictures with {changed.shape[0]} channel"
                f"{'s' * (changed.shape[0] > 1)}, and test pictures have {channels}; grayscale({channels}) gives that "
                "many"
            )
        raise DataError(
            f"augment: {', '.join(self.texts)} turns {_size(picture)} pixels (height x width) into "
            f"{_size(changed)}, and test pictures have {height}x{width}; end with resize([{height}, {width}]), "
            "or set size"
        )


def _size(picture: Tensor) -> str:
    return "x".join(map(str, picture.shape[-2:]))


def parse_augment(texts: str | Sequence[str] | None, *, ignored: int | None = None) -> Augmentation | None:
    """Builds the transforms that texts name; nothing is read for that.

    Args:
        texts: One text or several, or a text that is a list of them: the name of a transform of
            torchvision.transforms.v2 in snake_case, with parameters by name or by place. None and no texts are no
            augmentation.
        ignored: What fills the mask of a segmentation where a transform leaves a gap; None is what fills the picture.

    Raises:
        DataError: If a text is not one, with what was probably meant.

    Example:
        >>> parse_augment(["random_crop(32, padding=4)", "random_horizontal_flip"]).transforms[1]
        RandomHorizontalFlip(p=0.5)
    """
    if not isinstance(texts, str | Sequence | None):
        raise DataError(f"augment={shown(texts)} is not a text such as 'random_crop(32, padding=4)', or a list of such")
    written = _listed(texts) if isinstance(texts, str) else tuple(texts or ())
    if not written:
        return None
    known = transforms_by_name()
    nodes = [_parsed(text) for text in written]
    built = tuple(_built(node, text, known, ignored) for node, text in zip(nodes, written, strict=True))
    return Augmentation(
        tuple(text.strip() for text in written), built, wants_whole=_name_of(nodes[0]) == _plain(WHOLE_PICTURE)
    )


def _listed(text: str) -> tuple[str, ...]:
    """The texts of a list, `[random_crop(32), 'random_invert']`; any other text is one."""
    node = _parsed(text)
    if not isinstance(node, ast.List | ast.Tuple):
        return (text,)
    return tuple(
        one.value if isinstance(one, ast.Constant) and isinstance(one.value, str) else _source(one, text)
        for one in node.elts
    )


def _source(node: ast.expr, text: str) -> str:
    return ast.get_source_segment(text.strip(), node) or text


def _plain(name: str) -> str:
    """A name so that `RandomCrop`, `random-crop` and `random_crop` are one."""
    return re.sub(r"[_-]", "", name).lower()


def _parsed(text: object) -> ast.expr:
    if not isinstance(text, str):
        raise DataError(f"augment: a transform is a text such as 'random_crop(32, padding=4)', not {shown(text)}")
    if len(text) > MAX_LENGTH:
        raise DataError(f"augment: {shown(text)} is too long")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise DataError(
            f"augment: {shown(text)} is not a transform such as 'random_crop(32, padding=4)' ({reason})"
        ) from None


def _name_of(node: ast.expr) -> str:
    named = node.func if isinstance(node, ast.Call) else node
    return _plain(named.id) if isinstance(named, ast.Name) else ""


def _built(
    node: ast.expr, text: str, known: Mapping[str, type[Transform]], ignored: int | None, depth: int = 0
) -> Transform:
    """The transform that a name or a call names.

    Args:
        node: What was written.
        text: The whole of it.
        known: Name -> class.
        ignored: What fills masks.
        depth: In how many others it stands.
    """
    if depth > MAX_DEPTH:
        raise DataError(f"augment: {shown(text)} is nested more than {MAX_DEPTH} levels deep")
    if isinstance(node, ast.Constant) and isinstance(node.value, str):  # a quoted text in a list
        return _built(_parsed(node.value), node.value, known, ignored, depth + 1)
    name = _known_name(node, text, known)
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(known[name], eval_str=False).parameters.items()
        if key != "inplace"  # it would change the data set's own pictures
    }
    values: dict[str, Any] = {}
    for key, value in _arguments(node, text, name, parameters).items():
        if key == "transforms":
            items = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
            values[key] = [_built(item, text, known, ignored, depth + 1) for item in items]
        else:
            values[key] = _converted(key, _literal(value, text, name, key))
    missing = [
        key
        for key, parameter in parameters.items()
        if parameter.default is parameter.empty and parameter.kind != parameter.VAR_POSITIONAL and key not in values
    ]
    if missing:
        raise DataError(f"augment: {shown(text)}: {name} needs {', '.join(missing)}: {_signature(name, parameters)}")
    if ignored is not None and "fill" in parameters:
        from torchvision import tv_tensors

        fill = values.get("fill", parameters["fill"].default)
        values["fill"] = {tv_tensors.Mask: ignored, "others": fill}
    try:
        return known[name](**values)
    except Exception as error:  # each class has its own ways to refuse
        raise DataError(f"augment: {shown(text)} cannot be built: {describe_error(error)}") from error


def _known_name(node: ast.expr, text: str, known: Mapping[str, type[Transform]]) -> str:
    """The name of a transform that can be used.

    Raises:
        DataError: If there is none.
    """
    plain = _name_of(node)
    if not plain:
        raise DataError(f"augment: {shown(text)} is not a transform such as 'random_crop(32, padding=4)'")
    name = next((one for one in known if _plain(one) == plain), None)
    usable = [one for one in known if one not in REFUSED]
    if name is None:
        written = ast.unparse(node.func if isinstance(node, ast.Call) else node)
        meant = did_you_mean(written, usable) or f" There are {', '.join(usable)}"
        raise DataError(f"augment: torchvision.transforms.v2 has no transform named {written!r}.{meant}")
    if name in REFUSED:
        raise DataError(f"augment: {name} is not for single pictures with a class or a mask: {REFUSED[name]}")
    return name


def _arguments(
    node: ast.expr, text: str, name: str, parameters: Mapping[str, inspect.Parameter]
) -> dict[str, ast.expr]:
    """The values of a call by the names of their parameters; those without a name come first, in their order."""
    if not isinstance(node, ast.Call):
        return {}
    places = [key for key, parameter in parameters.items() if parameter.kind == parameter.POSITIONAL_OR_KEYWORD]
    if len(node.args) > len(places) or any(isinstance(one, ast.Starred) for one in node.args):
        raise DataError(
            f"augment: {shown(text)}: {name} takes {len(places)} values by place: {_signature(name, parameters)}"
        )
    given = dict(zip(places, node.args, strict=False))
    for keyword in node.keywords:
        key = keyword.arg or "**"
        if key not in parameters:
            raise DataError(
                f"augment: {shown(text)}: {name} has no parameter {key!r}.{did_you_mean(key, parameters)} "
                f"{_signature(name, parameters)}"
            )
        if key in given:
            raise DataError(f"augment: {shown(text)}: {key} is given twice")
        given[key] = keyword.value
    return given


def _signature(name: str, parameters: Mapping[str, inspect.Parameter]) -> str:
    texts = [
        key if one.default is one.empty else f"{key}={getattr(one.default, 'value', one.default)!r}"
        for key, one in parameters.items()
    ]
    return f"{name}({', '.join(texts)})"


def _literal(node: ast.expr, text: str, name: str, key: str) -> Any:
    """A value, read as those of specs are; a bare word is text."""
    try:
        value = parse_value(ast.unparse(node))
    except (SpecError, ValueError, RecursionError) as error:
        raise DataError(f"augment: {shown(text)}: {key} of {name}: {error}") from None
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    if isinstance(value, str) and not is_text and not isinstance(node, ast.Name):
        raise DataError(f"augment: {shown(text)}: {key}={shown(value)} of {name} is not a literal")
    if not isinstance(value, bool | int | float | str | tuple | None):
        raise DataError(f"augment: {shown(text)}: {key}={shown(value)} of {name} is not a number, a text or a list")
    return list(value) if isinstance(value, tuple) else value


def _converted(key: str, value: Any) -> Any:
    """Words for the members of torchvision's enumerations."""
    if not isinstance(value, str):
        return value
    from torchvision.transforms import AutoAugmentPolicy, InterpolationMode

    kinds: dict[str, Any] = {"interpolation": InterpolationMode, "policy": AutoAugmentPolicy}
    words = {member.value: member for member in kinds.get(key, ())}
    if words and value not in words:
        raise DataError(f"augment: {key} is one of {', '.join(words)}, not {value!r}")
    return words.get(value, value)
