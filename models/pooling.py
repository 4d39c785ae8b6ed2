"""How the states of a text's tokens become one vector, and what a base model says of it.

The choice travels beside the weights in the form of sentence-transformers (``1_Pooling/config.json``), so that whoever
loads a tower's folder pools as its training did.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from contracts.errors import SettingsError

Pooling = Literal["mean", "first", "last"]

FILE = Path("1_Pooling") / "config.json"

MODES: dict[str, Pooling] = {"mean": "mean", "cls": "first", "lasttoken": "last"}
"""What sentence-transformers calls them."""
FLAGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "lasttoken"}
"""Its versions before 6 have a flag for each mode."""


def pooled(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Vectors [texts, size] of states [texts, longest, size]; ``mask`` [texts, longest] is 1 up to a text's end."""
    if pooling == "first":
        return states[:, 0]
    if pooling == "last":
        return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
    weights = mask[:, :, None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def pooling_of(folder: Path) -> Pooling | None:
    """What sentence-transformers says beside the model in ``folder``; None where it says nothing.

    Raises:
        SettingsError: it pools in a way that this tower does not.
    """
    # its older versions keep the model itself in a folder beside that of the pooling
    file = next((each for each in (folder / FILE, folder.parent / FILE) if each.is_file()), None)
    if file is None:
        return None
    told = json.loads(file.read_text(encoding="utf-8"))
    set_flags = [name for name, value in told.items() if name.startswith("pooling_mode_") and value is True]
    modes = [told["pooling_mode"]] if "pooling_mode" in told else [FLAGS.get(name, name) for name in set_flags]
    if len(modes) != 1 or modes[0] not in MODES:
        raise SettingsError(
            f"{file} pools by {', '.join(map(str, modes)) or 'nothing'}, expected one of {', '.join(MODES)}. "
            "Set training.tower.pooling to mean, first or last."
        )
    return MODES[modes[0]]


def write_pooling(folder: Path, pooling: Pooling, size: int) -> None:
    """Writes what `pooling_of` reads."""
    mode = next(name for name, each in MODES.items() if each == pooling)
    (folder / FILE).parent.mkdir(exist_ok=True)
    (folder / FILE).write_text(json.dumps({"embedding_dimension": size, "pooling_mode": mode}, indent=1) + "\n")


@torch.inference_mode()
def is_causal(encoder: nn.Module) -> bool:
    """Whether a token's state depends on earlier tokens alone, as in a decoder. It is tried out.

    No name in a model's configuration says it for all of them: some decoders were trained on to look both ways.
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    half = int(encoder.config.vocab_size) // 2  # type: ignore[arg-type, union-attr]
    ids = torch.tensor([[half, half, half], [half, half, half + 1]], device=device)
    states = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state  # [2, 3, size]
    return bool(torch.allclose(states[0, :2], states[1, :2], atol=1e-6))
