"""What of a transformer is tuned: adapters of peft, all weights of the last layers, or nothing.

LoRA, AdaLoRA and IA3 change weights, and are merged into them before a tower is saved. Prefixes and prompts add to what
a transformer reads: they are saved beside it.
"""

from __future__ import annotations

import itertools
import math
from copy import copy
from pathlib import Path

import torch
from peft import (
    AdaLoraConfig,
    AdaLoraModel,
    IA3Config,
    LoraConfig,
    PeftConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
    get_peft_model_state_dict,
)
from peft.utils.constants import (
    SAFETENSORS_WEIGHTS_NAME,
    TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
    TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
)
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from contracts.errors import SettingsError
from contracts.settings import Tower
from models.frozen_layers import layer_list

Encoder = PreTrainedModel | PeftModel

FOLDER = "adapter"
"""Where prefixes and prompts lie in a tower's folder."""

FROM_THE_FIRST = frozenset({"frozen", "prefix", "prompt"})
"""Kinds of tuning that leave no layer's states as they are, or all of them: none is computed once."""

SCALED = {
    **TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
    "xlm-roberta": ["key", "value", "output.dense"],
    "distilbert": ["k_lin", "v_lin", "ffn.lin2"],
    "mpnet": ["attn.k", "attn.v", "output.dense"],
}
"""How the names of the maps that IA3 scales end: those that peft knows, and the same of a few more encoders."""
SCALED_BEFORE = {
    **TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
    "xlm-roberta": ["output.dense"],
    "distilbert": ["ffn.lin2"],
    "mpnet": ["output.dense"],
}
"""Those of them whose input is scaled, not their output."""


def first_tuned_layer(encoder: Encoder, settings: Tower) -> int:
    """Number of the first layer whose states tuning changes. 0 without tuning, or where all of them change."""
    if settings.tuning in FROM_THE_FIRST:
        return 0
    return max(0, int(encoder.config.num_hidden_layers) - settings.tuned_layers)


def adapted(encoder: Encoder, settings: Tower) -> Encoder:
    """The transformer ready for tuning: only what tuning changes takes gradients.

    Raises:
        SettingsError: the settings and this transformer do not go together.
    """
    if settings.tuning in ("prefix", "prompt"):
        return _with_virtual_tokens(encoder, settings)
    if settings.tuning in ("frozen", "full"):
        inside = _tuned_part(encoder, settings) if settings.tuning == "full" else ()
        for name, weight in encoder.named_parameters():
            weight.requires_grad = name.startswith(inside)
        return encoder
    return get_peft_model(encoder, _of_maps(encoder, settings))


def _of_maps(encoder: Encoder, settings: Tower) -> PeftConfig:
    """Adapters of linear maps."""
    inside, kind = _tuned_part(encoder, settings), encoder.config.model_type
    maps = {
        name: module
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and name.startswith(inside)
    }
    turned = any(isinstance(module, Conv1D) for module in maps.values())  # weights [in, out]
    rank = settings.lora_rank
    if settings.tuning == "lora":
        return LoraConfig(
            r=rank, lora_alpha=2 * rank, lora_dropout=0.05, target_modules=list(maps), fan_in_fan_out=turned
        )
    if settings.tuning == "adalora":
        # from one and a half times the rank down to it, as in the paper; the last half of the steps keeps the ranks
        return AdaLoraConfig(
            init_r=math.ceil(1.5 * rank),
            target_r=rank,
            lora_alpha=2 * rank,
            lora_dropout=0.05,
            tinit=settings.steps // 10,
            tfinal=settings.steps // 2,
            deltaT=max(1, settings.steps // 200),
            total_step=settings.steps,
            target_modules=list(maps),
            fan_in_fan_out=turned,
        )
    if kind not in SCALED:
        raise SettingsError(
            f'training.tower.tuning is "ia3", but what it scales in a {kind} is known neither to peft nor here: choose '
            '"lora", or one of ' + ", ".join(sorted(SCALED)) + " as base model."
        )
    return IA3Config(
        target_modules=[name for name in maps if name.endswith(tuple(SCALED[kind]))],
        feedforward_modules=[name for name in maps if name.endswith(tuple(SCALED_BEFORE[kind]))],
        fan_in_fan_out=turned,
    )


def _tuned_part(encoder: Encoder, settings: Tower) -> tuple[str, ...]:
    """How the names of the layers that tuning changes begin."""
    layers, count = layer_list(encoder), int(encoder.config.num_hidden_layers)
    first = first_tuned_layer(encoder, settings)
    if layers:
        return tuple(f"{layers[0]}.{layer}." for layer in range(first, count))
    if first:
        raise SettingsError(
            f"training.tower.tuned_layers is {settings.tuned_layers}, but the {count} layers of a "
            f"{encoder.config.model_type} share their weights: set it to {count}."
        )
    return ("encoder.",)


def _with_virtual_tokens(encoder: Encoder, settings: Tower) -> PeftModel:
    """Tuned tokens before a text: as keys and values of every layer (prefix), or as word embeddings (prompt)."""
    kind, own = encoder.config.model_type, encoder.config
    room = getattr(own, "max_position_embeddings", math.inf)
    if settings.max_tokens + settings.virtual_tokens > room:
        raise SettingsError(
            f"training.tower.max_tokens and virtual_tokens are {settings.max_tokens} and {settings.virtual_tokens}, "
            f"but the base model reads {room} tokens at most."
        )
    made = (PrefixTuningConfig if settings.tuning == "prefix" else PromptTuningConfig)(
        task_type=TaskType.FEATURE_EXTRACTION,
        num_virtual_tokens=settings.virtual_tokens,
        token_dim=own.hidden_size,
        num_layers=own.num_hidden_layers,
        num_attention_heads=own.num_attention_heads,
    )
    try:
        with_tokens = get_peft_model(encoder, made)
        learns = _learns(with_tokens, settings.max_tokens)
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        learns, reason = False, f" ({error})"
    else:
        reason = ""
    if not learns:
        raise SettingsError(
            f'training.tower.tuning is "{settings.tuning}", which the installed transformers and peft cannot do for a '
            f'{kind}{reason}: choose "lora", or another base model.'
        )
    return with_tokens


def _learns(encoder: PeftModel, tokens: int) -> bool:
    """Whether a gradient reaches what is tuned: some transformers pass over what is put before a text."""
    encoder.eval()
    device = next(encoder.parameters()).device
    ids = torch.full((2, tokens), int(encoder.config.vocab_size) // 2, device=device)
    mask = torch.ones_like(ids)
    mask[1, tokens // 2 + 1 :] = 0
    encoder(input_ids=ids, attention_mask=mask).last_hidden_state[:, -tokens:, 0].sum().backward()
    gradients = [weight.grad for weight in encoder.parameters() if weight.requires_grad]
    learns = all(each is not None and bool(each.abs().sum() > 0) for each in gradients)
    encoder.zero_grad()
    return learns


def follow_steps(encoder: Encoder, optimiser: torch.optim.Optimizer) -> None:
    """Lets AdaLoRA share out its ranks after each step, by gradients that are still there; nothing for other kinds."""
    if not isinstance(encoder, PeftModel) or not isinstance(encoder.base_model, AdaLoraModel):
        return
    steps = itertools.count(1)
    ranks = encoder.base_model
    optimiser.register_step_post_hook(lambda *_: ranks.update_and_allocate(next(steps)))  # type: ignore[no-untyped-call]


def add_penalty(encoder: Encoder) -> None:
    """Adds the gradient of AdaLoRA's penalty; nothing for other kinds.

    Its singular vectors are to be orthogonal: mean over its matrices of the Frobenius norm of P P' - I (Zhang et al.,
    2023), weighed as peft does in models that give a loss of their own, which ours does not.
    """
    if not isinstance(encoder, PeftModel) or not isinstance(encoder.base_model, AdaLoraModel):
        return
    sides = [
        weight if "lora_A" in name else weight.T
        for name, weight in encoder.named_parameters()
        if "lora_A" in name or "lora_B" in name
    ]
    far = [torch.linalg.matrix_norm(side @ side.T - torch.eye(len(side), device=side.device)) for side in sides]
    weight = float(encoder.active_peft_config.orth_reg_weight)
    (weight * torch.stack(far).mean()).backward()  # type: ignore[no-untyped-call]


def save(encoder: Encoder, folder: Path) -> None:
    """Writes the transformer, and prefixes or prompts beside it: safetensors and JSON."""
    if not isinstance(encoder, PeftModel):
        encoder.save_pretrained(str(folder))
        return
    encoder.get_base_model().save_pretrained(str(folder))  # type: ignore[operator]
    made = copy(encoder.active_peft_config)
    made.base_model_name_or_path = None  # a folder of this machine
    made.save_pretrained(str(folder / FOLDER))
    state = get_peft_model_state_dict(encoder, save_embedding_layers=False)
    save_file({name: weight.contiguous() for name, weight in state.items()}, folder / FOLDER / SAFETENSORS_WEIGHTS_NAME)


def with_saved(encoder: PreTrainedModel, folder: Path) -> Encoder:
    """The transformer with the prefixes or prompts that `save` wrote beside it, if any."""
    return PeftModel.from_pretrained(encoder, str(folder / FOLDER)) if (folder / FOLDER).is_dir() else encoder
