"""Who encodes texts: the item tower as at night, in int8, and other engines of the field, all with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from contracts.errors import InputError
from contracts.settings import Tower
from models.histories import Floats
from models.int8 import for_inference
from models.item_tower import ItemTower, base_model_folder
from models.text_vectors import Encode

OURS, PLAIN = "nightshift", "sentence-transformers"
EXAMPLE = torch.ones(2, 7, dtype=torch.long)
"""What an engine traces the network with; sizes stay open."""

Make = Callable[[ItemTower, Tower, int], Encode]
"""Makes ready, outside of the time, to encode with so many threads."""


def ours(tower: ItemTower, settings: Tower, _threads: int) -> Encode:
    """As the night encodes: equal texts once, those of like length in one batch."""
    return lambda texts: _distinct(texts, lambda those: tower.encode(those, settings.text_batch))


def ours_int8(tower: ItemTower, settings: Tower, threads: int) -> Encode:
    """The same with ``inference = "int8"``."""
    return ours(for_inference(tower, settings.model_copy(update={"inference": "int8"})), settings, threads)


def plain(tower: ItemTower, settings: Tower, _threads: int) -> Encode:
    """`SentenceTransformer.encode` as it comes, with texts cut where ours are."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(base_model_folder(settings.base_model)), device="cpu", local_files_only=True)
    model.max_seq_length = tower.max_tokens

    def encode(texts: Sequence[str]) -> Floats:
        made: Floats = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return made

    return encode


def openvino(tower: ItemTower, settings: Tower, threads: int) -> Encode:
    """OpenVINO in float32, with our batches."""
    import openvino as ov

    with torch.no_grad():
        network = ov.convert_model(_States(tower).eval(), example_input=(EXAMPLE, EXAMPLE))
    told = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    made = ov.Core().compile_model(network, "CPU", told)
    return _by_engine(tower, settings, lambda ids, mask: made([ids, mask])[0])


def onnxruntime(tower: ItemTower, settings: Tower, threads: int) -> Encode:
    """ONNX Runtime in float32, with our batches."""
    import onnxruntime as ort

    names = ["ids", "mask"]
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    with TemporaryDirectory(prefix="nightshift-") as folder, torch.no_grad():
        file = Path(folder) / "network.onnx"
        torch.onnx.export(
            _States(tower).eval(),
            (EXAMPLE, EXAMPLE),
            file,
            input_names=names,
            output_names=["states"],
            dynamic_axes={name: {0: "texts", 1: "tokens"} for name in names},
            dynamo=False,
        )
        run = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return _by_engine(tower, settings, lambda ids, mask: run.run(None, {"ids": ids, "mask": mask})[0])


CONTENDERS: Mapping[str, Make] = {
    OURS: ours,
    "nightshift, int8": ours_int8,
    PLAIN: plain,
    "openvino": openvino,
    "onnxruntime": onnxruntime,
}
OPTIONAL = ("openvino", "onnxruntime")
"""Engines that the project does not install: they take part where they are there."""


def chosen(only: tuple[str, ...]) -> dict[str, Make]:
    """Those whose names hold one of the words, beside ours and plain; without words all that are installed.

    Raises:
        InputError: one is asked for and not installed.
    """
    found = {}
    for name, make in CONTENDERS.items():
        if only and name not in (OURS, PLAIN) and not any(word in name for word in only):
            continue
        if name in OPTIONAL and find_spec(name) is None:
            if only:
                raise InputError(f"{name} is not installed: pip install {name}")
            continue
        found[name] = make
    return found


class _States(nn.Module):
    """The network alone: ids and mask [texts, tokens] to the last states [texts, tokens, size]."""

    def __init__(self, tower: ItemTower) -> None:
        super().__init__()
        self.encoder = tower.encoder

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        states: Tensor = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return states


def _by_engine(tower: ItemTower, settings: Tower, states_of: Callable[[Any, Any], Any]) -> Encode:
    """The tower with another engine in the place of its network."""
    other = ItemTower(_Engine(tower.encoder, states_of), tower.tokenizer, tower.max_tokens, tower.pooling)  # type: ignore[arg-type]
    return ours(other, settings, 1)


class _Engine(nn.Module):
    """Looks like a network of transformers, as far as the tower needs it."""

    def __init__(self, like: nn.Module, states_of: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.config = like.config
        self.place = nn.Parameter(torch.zeros(1))  # tells the device
        self.states_of = states_of

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        made = self.states_of(input_ids.numpy(), attention_mask.numpy())
        return BaseModelOutput(last_hidden_state=torch.from_numpy(np.asarray(made)))


def _distinct(texts: Sequence[str], encode: Encode) -> Floats:
    """Vectors of texts, equal ones encoded once."""
    those, row = np.unique(np.asarray(texts, dtype=object).astype(str), return_inverse=True)
    return encode(those.tolist())[row]
