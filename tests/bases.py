"""Tiny transformers of several architectures, untrained, in folders as real base models come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaModel,
)

TEXTS = ["whole milk, dairy, 1 gal", "", "rye bread", "rye bread, bakery", "frzn ice cream, national brand, 48 oz"]
WORDS = 64
"""Size of the vocabulary."""
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]

COMMON: dict[str, Any] = {"vocab_size": WORDS, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3}
KINDS: Mapping[str, Callable[[], PreTrainedModel]] = {
    "bert": lambda: BertModel(BertConfig(**COMMON, num_attention_heads=2, max_position_embeddings=40, pad_token_id=1)),
    "distilbert": lambda: DistilBertModel(
        DistilBertConfig(
            vocab_size=WORDS, dim=32, hidden_dim=48, n_layers=3, n_heads=2, max_position_embeddings=40, pad_token_id=1
        )
    ),
    "xlm-roberta": lambda: XLMRobertaModel(
        XLMRobertaConfig(**COMMON, num_attention_heads=2, max_position_embeddings=40, pad_token_id=1)
    ),
    "mpnet": lambda: MPNetModel(
        MPNetConfig(**COMMON, num_attention_heads=2, max_position_embeddings=40, pad_token_id=1)
    ),
    "gpt2": lambda: GPT2Model(
        GPT2Config(vocab_size=WORDS, n_embd=32, n_layer=3, n_head=2, n_positions=40, bos_token_id=0, eos_token_id=2)
    ),
    "llama": lambda: LlamaModel(
        LlamaConfig(
            **COMMON, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=40, bos_token_id=0,
            eos_token_id=2,
        )
    ),
}  # fmt: skip
DECODERS = {"gpt2", "llama"}
LAYERS = {
    "bert": "encoder.layer",
    "distilbert": "transformer.layer",
    "xlm-roberta": "encoder.layer",
    "mpnet": "encoder.layer",
    "gpt2": "h",
    "llama": "layers",
}
"""What each kind calls its layers."""


def base_model(folder: Path, kind: str, dtype: torch.dtype = torch.float32) -> Path:
    """Saves a base model of a kind; its weights are the same every time."""
    torch.manual_seed(0)
    model = KINDS[kind]()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:  # larger than they come, so that vectors of different texts differ
                weight.mul_(4)
    model.to(dtype=dtype)  # type: ignore[call-arg]
    model.save_pretrained(folder)
    tokenizer(decoder=kind in DECODERS).save_pretrained(folder)
    return folder


def tokenizer(*, decoder: bool) -> PreTrainedTokenizerFast:
    """Words of `TEXTS`; a decoder's has no padding and no end, an encoder's stands between two signs."""
    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.train_from_iterator(TEXTS, trainers.WordLevelTrainer(vocab_size=WORDS, special_tokens=SPECIAL))
    if decoder:
        return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="</s>")  # type: ignore[no-untyped-call]
    words.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
