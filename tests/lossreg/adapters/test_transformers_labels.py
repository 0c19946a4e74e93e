"""Language models in the Trainer of Hugging Face: another loss is of the labels that the model's own loss is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import lossreg
from tests.table import for_each

transformers = pytest.importorskip("transformers")

from lossreg.adapters.transformers import PartsTrainer  # noqa: E402  # transformers may be missing

TOKENS = torch.randint(2, 20, (6, 8), generator=torch.Generator().manual_seed(1))
SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
BART = {"d_model": 8, "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 8, "dropout": 0.0}


class OfAnother(transformers.LlamaForCausalLM):  # type: ignore[misc,name-defined]  # its types are not looked at
    """One of a program, whose name says nothing."""


def model_of(kind: Any, config: Any, **settings: Any) -> Any:
    """A model that computes the same in each call."""
    torch.manual_seed(0)
    made = kind(config(vocab_size=20, pad_token_id=1, bos_token_id=0, eos_token_id=0, **settings))
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return made


@for_each(
    ("kind", "config", "settings"),
    [
        ("GPT2LMHeadModel", "GPT2Config", {"n_embd": 8, "n_layer": 1, "n_head": 2}),
        ("LlamaForCausalLM", "LlamaConfig", SMALL),
        (OfAnother, "LlamaConfig", SMALL),
        ("BertLMHeadModel", "BertConfig", {**SMALL, "is_decoder": True}),
        ("BertForMaskedLM", "BertConfig", SMALL),
        ("BartForCausalLM", "BartConfig", BART),
    ],
)
def test_a_step_is_that_of_the_loss_of_the_model(kind: Any, config: str, settings: Any, tmp_path: Path) -> None:
    """Cross entropy by name changes the weights as the loss does that the model itself computes."""
    kind = getattr(transformers, kind) if isinstance(kind, str) else kind
    by_hand, named = (model_of(kind, getattr(transformers, config), **settings) for _ in range(2))
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.5)
    by_hand.train()(input_ids=TOKENS, labels=TOKENS).loss.backward()
    optimizer.step()
    args = transformers.TrainingArguments(
        str(tmp_path / kind.__name__), use_cpu=True, report_to="none", disable_tqdm=True, save_strategy="no",
        per_device_train_batch_size=6, max_steps=1, max_grad_norm=0.0,
    )  # fmt: skip
    samples = [{"input_ids": one, "labels": one} for one in TOKENS]
    parts = lossreg.parts(loss="cross_entropy", optimizer="sgd(lr=0.5)")
    PartsTrainer(named, args, parts=parts, train_dataset=samples).train()
    for mine, other in zip(named.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)
