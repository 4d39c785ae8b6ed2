"""Item tower: a pre-trained transformer that turns an item's text into a vector."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from contracts.errors import ModelError, SettingsError
from contracts.settings import Tower
from models import adapters
from models.adapters import Encoder
from models.frozen_layers import FrozenLayers
from models.histories import Flags, Floats
from models.pooling import Pooling, is_causal, pooled, pooling_of, write_pooling
from models.progress import Progress


def base_model_folder(name: str) -> Path:
    """Folder of a base model: ``name`` is a folder, or an installed package that carries one.

    Raises:
        SettingsError: neither holds a ``config.json`` with ``*.safetensors`` beside it.
    """
    folder = Path(name)
    if not folder.is_dir():
        spec = importlib.util.find_spec(name.replace("-", "_"))
        folder = Path(spec.origin).parent if spec and spec.origin else folder
    for config in sorted(folder.rglob("config.json"), key=lambda path: (len(path.parts), path)):
        if any(config.parent.glob("*.safetensors")):
            return config.parent
    raise SettingsError(
        f"training.tower.base_model is {name!r}: expected a folder, or an installed Python package, with config.json "
        "and *.safetensors in it. Nothing is downloaded at run time."
    )


KEPT_BYTES = 2 * 2**30
"""States of frozen layers are kept if they fit into this, and else computed anew."""


@dataclass(frozen=True)
class Texts:
    """Texts ready for the tower, and what its frozen layers make of them, where that was kept."""

    texts: Sequence[str]
    tokens: list[list[int]]
    frozen: FrozenLayers | None = None
    states: tuple[Tensor, ...] = ()  # [length, size] of each text, on the CPU


class ItemTower(nn.Module):
    """Texts in, unit vectors out: the transformer's last layer, pooled."""

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: PreTrainedTokenizerBase,
        max_tokens: int,
        pooling: Pooling = "mean",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.pooling: Pooling = pooling

    @classmethod
    def load(
        cls, folder: Path, max_tokens: int, pooling: Pooling | Literal["auto"] = "auto", dropout: float | None = None
    ) -> ItemTower:
        """Loads a tower from a folder in float32, without network and without code from the folder.

        Args:
            folder: Of a base model, or one that `save` wrote.
            max_tokens: Where texts are cut.
            pooling: How a text's tokens become its vector; ``auto`` is what the folder says, and else the last token of
                a decoder, the mean of others.
            dropout: Of hidden states and attention in training; None leaves the model's own.

        Raises:
            ModelError: the folder holds no model that transformers can load, or one that reads and writes.
            SettingsError: the folder says a pooling that is not known here, or there is no dropout that can be set.
        """
        try:
            config = _with_dropout(AutoConfig.from_pretrained(folder, local_files_only=True), dropout)
            # whatever a checkpoint is kept in: half a precision is too coarse to be tuned
            encoder = AutoModel.from_pretrained(
                folder, config=config, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder} does not hold a model that transformers can load: {error}") from error
        if encoder.config.is_encoder_decoder:
            raise ModelError(f"{folder} holds an encoder with a decoder; expected one of them alone.")
        if tokenizer.pad_token is None:  # decoders often have none; which one it is does not matter, it is masked
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
        if pooling == "auto":
            pooling = pooling_of(folder) or ("last" if is_causal(encoder) else "mean")
        return cls(adapters.with_saved(encoder, folder), tokenizer, max_tokens, pooling)

    @classmethod
    def pre_trained(cls, settings: Tower) -> ItemTower:
        """The base model of the settings, untuned.

        Raises:
            ModelError, SettingsError: as of `load` and `base_model_folder`.
        """
        return cls.load(base_model_folder(settings.base_model), settings.max_tokens, settings.pooling)

    @property
    def size(self) -> int:
        """Dimension of the vectors."""
        return int(self.encoder.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.encoder.parameters()).device

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut at ``max_tokens``; an empty text is its special tokens alone."""
        return [each or [int(self.tokenizer.pad_token_id)] for each in self._ids(texts, self.max_tokens)]

    def losses(self, texts: Sequence[str]) -> tuple[Flags, Flags]:
        """Which texts have more than ``max_tokens`` tokens, and which have words without a token, [texts] each."""
        ids = self._ids(texts, self.max_tokens + 1)
        unknown = self.tokenizer.unk_token_id
        longer = np.array([len(each) > self.max_tokens for each in ids], dtype=np.bool_)
        return longer, np.array([unknown is not None and unknown in each for each in ids], dtype=np.bool_)

    def _ids(self, texts: Sequence[str], most: int) -> list[list[int]]:
        """Token ids of each text, at most so many."""
        if not texts:
            return []
        ids: list[list[int]] = self.tokenizer(list(texts), truncation=True, max_length=most)["input_ids"]
        return ids

    def ready(self, texts: Sequence[str]) -> Texts:
        """Texts with their tokens, of which nothing is kept."""
        return Texts(texts, self.tokens(texts))

    def forward(self, texts: Texts, rows: Sequence[int]) -> Tensor:
        """Unit vectors [rows, size] of some of the texts."""
        tokens = [texts.tokens[row] for row in rows]
        longest = max(map(len, tokens))
        pad = int(self.tokenizer.pad_token_id)
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in tokens], device=self.device)
        lengths = torch.tensor([len(row) for row in tokens], device=self.device)
        mask = (torch.arange(longest, device=self.device) < lengths[:, None]).long()  # [texts, longest]
        with self._starting_from(texts, rows):
            states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # [rows, longest, size]
        states = states[:, -longest:]  # without those of a prompt
        return F.normalize(pooled(states, mask, self.pooling).float(), dim=1)

    def _starting_from(self, texts: Texts, rows: Sequence[int]) -> AbstractContextManager[None]:
        """A block in which the layers whose states were kept are not computed."""
        if not texts.frozen:
            return nullcontext()
        kept = pad_sequence([texts.states[row] for row in rows], batch_first=True)  # [rows, longest, size]
        return texts.frozen.known(kept.to(self.device))

    def encode(self, texts: Sequence[str], batch: int) -> Floats:
        """Unit vectors [texts, size], in the order given."""
        return self.encode_rows(self.ready(texts), range(len(texts)), batch)

    @torch.inference_mode()
    def encode_rows(self, texts: Texts, rows: Sequence[int], batch: int) -> Floats:
        """Unit vectors [rows, size] of some of the texts. Texts of like length share a batch, for speed."""
        self.eval()
        vectors = np.empty((len(rows), self.size), dtype=np.float32)
        order = _by_length([texts.tokens[row] for row in rows])
        progress = Progress(len(order), "texts encoded")
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            vectors[part] = self(texts, [rows[number] for number in part]).cpu().numpy()
            progress.at(start + len(part))
        return vectors

    def encode_first(self, texts: Sequence[str], batch: int, first_tuned: int) -> tuple[Floats, Texts]:
        """Unit vectors [texts, size], and the texts with what the layers below ``first_tuned`` make of them.

        For a tower whose lower layers stay as they are: with these texts they are not computed again.
        """
        plain = self.ready(texts)
        tokens = plain.tokens
        frozen = FrozenLayers.below(first_tuned, self.encoder)
        if not frozen or sum(map(len, tokens)) * self.size * 4 > KEPT_BYTES:
            return self.encode_rows(plain, range(len(texts)), batch), plain
        with frozen.recorded() as batches:
            vectors = self.encode_rows(plain, range(len(tokens)), batch)
        in_order = (state for states in batches for state in states)
        states = {row: next(in_order)[: len(tokens[row])] for row in _by_length(tokens)}
        return vectors, Texts(texts, tokens, frozen, tuple(states[row] for row in range(len(tokens))))

    def save(self, folder: Path) -> None:
        """Writes the transformer (adapters merged, or beside it), tokenizer and pooling: safetensors and JSON."""
        adapters.save(self.encoder, folder)
        self.tokenizer.save_pretrained(str(folder))
        write_pooling(folder, self.pooling, self.size)


DROPOUTS = (
    "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "hidden_dropout", "attention_dropout",
    "resid_pdrop", "embd_pdrop", "attn_pdrop",
)  # fmt: skip
"""What transformers call the dropout of embeddings, hidden states and attention."""


def _with_dropout(config: PreTrainedConfig, dropout: float | None) -> PreTrainedConfig:
    """The configuration with another dropout, if there is one."""
    if dropout is None:
        return config
    known = [name for name in DROPOUTS if hasattr(config, name)]
    if not known:
        raise SettingsError(
            f"training.tower.regularisation.dropout is {dropout:g}, but a {config.model_type} has none that could be "
            "set: leave it out."
        )
    for name in known:
        setattr(config, name, dropout)
    return config


def _by_length(tokens: Sequence[Sequence[int]]) -> list[int]:
    """Rows from the shortest on. Ties keep their order, so that the same texts always share a batch."""
    return sorted(range(len(tokens)), key=lambda row: len(tokens[row]))


def first_tuned(tower: ItemTower, settings: Tower) -> int:
    """Number of the first layer whose states tuning changes; those below stay as they are. 0 without tuning."""
    return adapters.first_tuned_layer(tower.encoder, settings)


def with_adapters(tower: ItemTower, settings: Tower) -> ItemTower:
    """The tower ready for tuning: adapters, the weights of the last layers, or nothing take gradients.

    Raises:
        SettingsError: the settings and the base model do not go together.
    """
    tower.encoder = adapters.adapted(tower.encoder, settings)
    return tower


def merged(tower: ItemTower) -> ItemTower:
    """The tower with its adapters merged into the weights, where they can be, checked to give the same vectors.

    Raises:
        ModelError: merging changed the vectors by more than rounding.
    """
    if not isinstance(tower.encoder, PeftModel) or tower.encoder.active_peft_config.is_prompt_learning:
        return tower
    sample = ["fresh whole milk 1 gal", "", "national bread:italian/french pastry"]
    before = tower.encode(sample, 8)
    tower.encoder = tower.encoder.merge_and_unload(safe_merge=True)
    difference = float(np.abs(before - tower.encode(sample, 8)).max())
    if difference > 1e-4:
        raise ModelError(f"Merging the adapters changed vectors by {difference:.2e}, expected at most 1e-4.")
    return tower
