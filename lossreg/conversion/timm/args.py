"""The arguments of timm's train.py: from its args.yaml, or from a command line."""

from __future__ import annotations

import ast
import itertools
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from lossreg.conversion.quoted import unquoted
from lossreg.conversion.yaml_text import MOST, read_yaml
from lossreg.errors import ConfigError
from lossreg.values import shown

#: Argument -> its default in the train.py of timm 1.0; those of the recipe, which is what is read.
DEFAULTS: Mapping[str, Any] = {
    "opt": "sgd",
    "opt_eps": None,
    "opt_betas": None,
    "momentum": 0.9,
    "weight_decay": 2e-5,
    "opt_kwargs": {},
    "opt_foreach": None,
    "layer_decay": None,
    "layer_decay_min_scale": 0.0,
    "layer_decay_no_opt_scale": None,
    "lr": None,
    "lr_base": 0.1,
    "lr_base_size": 256,
    "lr_base_scale": "",
    "sched": "cosine",
    "sched_on_updates": False,
    "epochs": 300,
    "warmup_epochs": 5,
    "warmup_lr": 1e-5,
    "warmup_prefix": False,
    "cooldown_epochs": 0,
    "min_lr": 0.0,
    "decay_epochs": 90,
    "decay_milestones": [90, 180, 270],
    "decay_rate": 0.1,
    "patience_epochs": 10,
    "eval_metric": "top1",
    "lr_cycle_limit": 1,
    "lr_cycle_mul": 1.0,
    "lr_cycle_decay": 0.5,
    "lr_k_decay": 1.0,
    "lr_noise": None,
    "smoothing": 0.1,
    "bce_loss": False,
    "bce_sum": False,
    "bce_target_thresh": None,
    "bce_pos_weight": None,
    "jsd_loss": False,
    "mixup": 0.0,
    "cutmix": 0.0,
    "cutmix_minmax": None,
    "clip_grad": None,
    "clip_mode": "norm",
    "batch_size": 128,
    "grad_accum_steps": 1,
    "model_ema": False,
    "model_ema_decay": 0.9998,
    "model_ema_warmup": False,
    "seed": 42,
    "amp": False,
    "amp_dtype": "float16",
}

#: Further arguments that change what is trained -> the value with which they do nothing, or which every run has.
OTHERS: Mapping[str, Any] = {
    "model": None, "pretrained": False, "initial_checkpoint": "", "num_classes": None, "img_size": None,
    "drop": 0.0, "drop_path": None, "drop_block": None, "drop_connect": None, "bn_momentum": None, "bn_eps": None,
    "sync_bn": False, "split_bn": False, "aa": None, "aug_repeats": 0, "aug_splits": 0, "reprob": 0.0, "no_aug": False,
    "color_jitter": 0.4, "hflip": 0.5, "vflip": 0.0, "epoch_repeats": 0.0, "start_epoch": None, "resume": "",
    "data_dir": None, "dataset": "", "train_split": "train", "val_split": "validation", "class_map": "",
    "head_init_scale": None, "head_init_bias": None, "kd_model_name": None, "naflex_loader": False,
}  # fmt: skip

#: Options of what starts train.py, and the file that it reads first.
LAUNCHER = frozenset({"nproc_per_node", "standalone", "nnodes", "node_rank", "master_addr", "master_port", "config"})

#: Options of a command line that take no value, and those that take several.
_FLAGS = frozenset(
    [
        "sched_on_updates",
        "warmup_prefix",
        "bce_loss",
        "bce_sum",
        "jsd_loss",
        "model_ema",
        "model_ema_force_cpu",
        "model_ema_warmup",
        "amp",
        "apex_amp",
        "native_amp",
        "channels_last",
        "pretrained",
        "no_aug",
        "resplit",
        "sync_bn",
        "split_bn",
        "torchscript",
        "grad_checkpointing",
        "pin_mem",
        "no_prefetcher",
        "log_wandb",
        "dataset_download",
        "no_resume_opt",
        "no_ddp_bb",
        "use_multi_epochs_loader",
        "save_images",
        "synchronize_step",
        "dataset_trust_remote_code",
        "fast_norm",
    ]
)
_SEVERAL = frozenset(
    [
        "opt_betas",
        "decay_milestones",
        "lr_noise",
        "mean",
        "std",
        "scale",
        "ratio",
        "cutmix_minmax",
        "input_size",
        "opt_kwargs",
        "model_kwargs",
        "torchcompile_kwargs",
    ]
)
_SHORT: Mapping[str, str] = {
    "b": "batch_size", "vb": "validation_batch_size", "j": "workers", "d": "dataset", "c": "config", "dr": "decay_rate",
}  # fmt: skip

_OPTION = re.compile(r"--?([A-Za-z][\w-]*)(?:=(.*))?", re.DOTALL)
_KEY = re.compile(r"^[A-Za-z_]\w*:(?:\s|$)", re.MULTILINE)


@attrs.define
class Args:
    """Arguments, with train.py's defaults for those that are not written.

    Attributes:
        given: Those that are written.
        where: The file, for messages.
        processes: How many processes a command line starts, where it says so.
        assumed: The defaults that were asked for.
    """

    given: Mapping[str, Any]
    where: str
    processes: int | None = None
    assumed: dict[str, Any] = attrs.field(factory=dict)

    def __getitem__(self, key: str) -> Any:
        default = DEFAULTS[key]
        if key in self.given and (self.given[key] is not None or default is None):
            return self.given[key]
        if key not in self.given and default not in (None, False, "", {}):
            self.assumed[key] = default
        return default

    def number(self, key: str, *, least: float = 0.0) -> float:
        """A number of at least `least`; None where it is the default is 0.

        One in quotation marks is a number in train.py, too.

        Raises:
            ConfigError: If it is something else.
        """
        value = self[key]
        value = 0.0 if value is None else value
        if isinstance(value, str) and (number := unquoted(value)) is not None:
            value = number
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
            raise ConfigError(f"{self.where}: {key} is a number of at least {least:g}, not {shown(value)}")
        return value

    def whole(self, key: str, *, least: int = 0) -> int:
        """A whole number.

        Raises:
            ConfigError: If it is something else.
        """
        value = self.number(key, least=least)
        if value != int(value):
            raise ConfigError(f"{self.where}: {key} is a whole number, not {shown(value)}")
        return int(value)

    def numbers(self, key: str) -> list[float]:
        """A list of numbers; one alone is a list of one, and None of none.

        Raises:
            ConfigError: If it is something else.
        """
        value = self[key]
        listed = [] if value is None else value if isinstance(value, list) else [value]
        for one in listed:
            if isinstance(one, bool) or not isinstance(one, int | float):
                raise ConfigError(f"{self.where}: {key} is a list of numbers, not {shown(value)}")
        return listed

    def table(self, key: str) -> dict[str, Any]:
        """A table of further arguments.

        Raises:
            ConfigError: If it is something else.
        """
        value = self[key] or {}
        if not isinstance(value, dict):
            raise ConfigError(f"{self.where}: {key} is a table of names and values, not {shown(value)}")
        return {str(name): one for name, one in value.items()}


def read_args(text: str, where: str) -> Args:
    """The arguments in an args.yaml, or in a command line.

    Raises:
        ConfigError: If it is neither, or has no argument of the recipe.
    """
    is_line = re.search(r"(?:^|\s)--?[A-Za-z]", text) is not None and not _KEY.search(text)
    args = _of_line(text, where) if is_line else Args(read_yaml(text, where), where)
    tables = [key for key, value in args.given.items() if isinstance(value, dict) and not str(key).endswith("_kwargs")]
    if tables:
        raise ConfigError(f"{where} is not an args.yaml of timm's train.py: {shown(tables[0])} is a table")
    if not DEFAULTS.keys() & args.given.keys():
        raise ConfigError(f"{where}: it has no argument of timm's train.py, such as opt, lr or sched")
    return args


def _of_line(text: str, where: str) -> Args:
    if len(text) > MOST:
        raise ConfigError(f"{where} cannot be read: it has more than {MOST:,} characters")
    try:
        words = iter(shlex.split(text.replace("\\\r\n", " ").replace("\\\n", " "), comments=True))
    except ValueError as error:
        raise ConfigError(f"{where} is not a command line: {str(error).lower()}") from None
    given: dict[str, Any] = {}
    rest: list[str] = []
    pending = next(words, None)
    while pending is not None:
        word, pending = pending, next(words, None)
        match = _OPTION.fullmatch(word)
        if match is None:
            rest.append(word)
            continue
        key = _SHORT.get(match[1], match[1].replace("-", "_"))
        if match[2] is not None:
            values = [match[2]]
        elif key in _FLAGS:
            given[key] = True
            continue
        else:
            values, pending = _values(key, pending, words)
        if not values and key in DEFAULTS:
            raise ConfigError(f"{where}: --{match[1]} lacks its value")
        given[key] = _read(key, values) if values else True  # a flag of another version
    return Args(given, where, _processes(rest, given))


def _values(key: str, pending: str | None, words: Iterator[str]) -> tuple[list[str], str | None]:
    """The words behind an option that are its values, and the word behind these."""
    values: list[str] = []
    while pending is not None and not _OPTION.fullmatch(pending) and (not values or key in _SEVERAL):
        values.append(pending)
        pending = next(words, None)
    return values, pending


def _read(key: str, values: list[str]) -> Any:
    if key in ("opt_kwargs", "model_kwargs", "torchcompile_kwargs"):
        pairs = [one.partition("=") for one in values]
        return {name: _literal(value) for name, _, value in pairs}
    return list(map(_number, values)) if key in _SEVERAL else _number(values[0])


def _number(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _literal(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return word


def _processes(rest: list[str], given: Mapping[str, Any]) -> int | None:
    """The number of processes: `torchrun --nproc-per-node=4`, or the first word of timm's distributed_train.sh."""
    said, machines = given.get("nproc_per_node"), given.get("nnodes", 1)
    if isinstance(said, int):
        return said * machines if isinstance(machines, int) else None
    for script, number in itertools.pairwise(rest):
        if script.endswith("distributed_train.sh") and number.isdecimal():
            return int(number)
    return None
