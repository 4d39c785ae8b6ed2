"""The tower's tuning: each setting changes what it says, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from contracts.errors import SettingsError
from contracts.settings import Cooccurrence, Tower, Training
from models import item_tower
from models.devices import seed_everything
from models.histories import DAY, Histories
from models.item_tower import ItemTower, first_tuned, with_adapters
from models.perturbation import moved, noise, watched, without_words
from models.tower_tuning import (
    TextPairs,
    Untune,
    Untuned,
    contrastive_loss,
    held_out_texts,
    pairs_of_texts,
    tune,
    tuned_tower,
)
from tests.bases import KINDS, TEXTS, base_model
from tests.factories import NOW, known_of

PAIRS = TextPairs(np.array([0, 2, 3, 4]), np.array([4, 3, 2, 0]))
OWN: Mapping[str, object] = {"tuned_layers": 2, "steps": 8, "batch": 2, "learning_rate": 1e-2, "lora_rank": 4}


@dataclass(frozen=True)
class Run:
    """What a tuning did."""

    losses: list[float]
    weights: dict[str, Tensor]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.losses == other.losses and self.has_weights_of(other)

    def has_weights_of(self, other: Run) -> bool:
        return all(torch.equal(weight, other.weights[name]) for name, weight in self.weights.items())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_model(tmp_path_factory.mktemp("base"), "bert")


def run(base: Path, **changes: object) -> Run:
    """Tunes the tower with other settings of `[training.tower]`; its last weights count as the best."""
    own = Tower.model_validate({**OWN, **changes})
    seed_everything(3)
    tower = ItemTower.load(base, 16, own.pooling, own.regularisation.dropout)
    _, texts = tower.encode_first(TEXTS, 2, first_tuned(tower, own))
    tower = with_adapters(tower, own)
    losses: list[float] = []

    def report(curve: str, _: int, value: float) -> None:
        if curve == "tower_loss":
            losses.append(value)

    tune(tower, texts, PAIRS, Training(tower=own), lambda: float(len(losses)), report)
    return Run(losses, {name: weight.detach() for name, weight in tower.named_parameters() if weight.requires_grad})


def test_the_same_settings_give_the_same_weights(base: Path) -> None:
    assert run(base) == run(base)


@pytest.mark.parametrize(
    "descent",
    [
        {"optimiser": "sgd"},
        {"schedule": "cosine"},
        {"schedule": "constant"},
        {"warm_up": 0.5},
        {"weight_decay": 0.5},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_each_rule_of_descent_gives_other_weights(base: Path, descent: dict[str, object]) -> None:
    plain, other = run(base), run(base, descent=descent)
    assert len(other.losses) == 8
    assert all(np.isfinite(other.losses))
    assert not other.has_weights_of(plain)
    assert {weight.dtype for weight in other.weights.values()} == {torch.float32}


@pytest.mark.parametrize("averaging", ["swa", "ema"])
def test_averaging_changes_the_weights_that_are_kept_and_no_step(base: Path, averaging: str) -> None:
    plain, other = run(base), run(base, descent={"averaging": averaging, "averaged": 0.5})
    assert other.losses == plain.losses
    assert not other.has_weights_of(plain)


def test_the_weight_decay_of_all_training_holds_unless_the_tower_has_its_own(base: Path) -> None:
    assert run(base, descent={"weight_decay": Training().weight_decay}) == run(base)


HARDER: list[dict[str, object]] = [
    {"dropout": 0.4},
    {"word_dropout": 0.4},
    {"perturbation": "noise", "noise_alpha": 20.0},
    {"perturbation": "fgm"},
]


@pytest.mark.parametrize("regularisation", HARDER, ids=str)
def test_what_makes_tuning_harder_changes_its_steps_the_same_way_each_time(
    base: Path, regularisation: dict[str, object]
) -> None:
    other = run(base, regularisation=regularisation)
    assert other == run(base, regularisation=regularisation)
    assert not other.has_weights_of(run(base))
    assert all(np.isfinite(other.losses))


@pytest.mark.parametrize("regularisation", [{}, *HARDER[1:]], ids=str)
def test_kept_states_of_frozen_layers_change_no_step(
    base: Path, regularisation: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, object] = {"regularisation": {"dropout": 0.0, **regularisation}, "tuning": "full"}
    kept = run(base, **changes)
    monkeypatch.setattr(item_tower, "KEPT_BYTES", 0)
    np.testing.assert_allclose(run(base, **changes).losses, kept.losses, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_set_in_every_architecture_and_only_for_training(kind: str, tmp_path: Path) -> None:
    base_model(tmp_path, kind)
    plain, other = ItemTower.load(tmp_path, 16, dropout=0.0), ItemTower.load(tmp_path, 16, dropout=0.9)
    np.testing.assert_array_equal(other.encode(TEXTS, 8), plain.encode(TEXTS, 8))
    rows = range(len(TEXTS))
    for tower, differs in ((plain, False), (other, True)):
        tower.train()
        first, second = (tower(tower.ready(TEXTS), rows) for _ in range(2))
        assert torch.equal(first, second) != differs


def test_a_model_without_dropout_says_so(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_tower, "DROPOUTS", ())
    with pytest.raises(SettingsError, match="a bert has none that could be set"):
        ItemTower.load(base, 16, dropout=0.1)


def test_words_are_left_out_at_random_and_never_all() -> None:
    text = " ".join(map(str, range(1000)))
    kept = without_words(text, 0.3, np.random.default_rng(0)).split()
    assert 600 < len(kept) < 800
    assert kept == sorted(kept, key=int)
    assert without_words(text, 0.0, np.random.default_rng(0)) == text
    assert without_words("rye bread", 0.999, np.random.default_rng(0)) in {"rye", "bread"}
    assert without_words("", 0.5, np.random.default_rng(0)) == ""


def test_noise_is_bounded_and_only_while_training(base: Path) -> None:
    embeddings = ItemTower.load(base, 16).encoder.get_input_embeddings()
    ids = torch.arange(8).reshape(2, 4)
    plain = embeddings(ids)
    with noise(embeddings, 5.0):
        assert torch.equal(embeddings.eval()(ids), plain)
        far = (embeddings.train()(ids) - plain).abs().max().item()
    bound = 5 / (4 * 32) ** 0.5
    assert bound / 2 < far <= bound
    assert torch.equal(embeddings(ids), plain)


@pytest.mark.parametrize("kind", KINDS)
def test_fgm_moves_each_text_up_the_loss(kind: str, tmp_path: Path) -> None:
    tower = ItemTower.load(base_model(tmp_path, kind), 16).eval()
    embeddings = tower.encoder.get_input_embeddings()
    texts, goal = tower.ready(TEXTS), torch.from_numpy(tower.encode(list(reversed(TEXTS)), 8))

    def loss() -> Tensor:
        return torch.sum(tower(texts, range(len(TEXTS))) * goal)

    with watched(embeddings) as states:
        before = loss()
        before.backward()  # type: ignore[no-untyped-call]
    ids = torch.zeros(states[0].shape[:2], dtype=torch.long)
    with moved(embeddings, states[0], 0.1):
        after = loss().item()
        move = embeddings(ids)
    assert after > before.item()
    np.testing.assert_allclose((move - embeddings(ids)).flatten(1).norm(dim=1).detach(), 0.1, rtol=1e-3)
    assert loss().item() == pytest.approx(before.item())


def test_texts_that_judge_share_no_pair_with_those_that_are_learnt_from() -> None:
    # Sixty users, each of whom took all of twelve items one day after the other; items 2 k and 2 k + 1 have one text.
    users, items = np.repeat(np.arange(60, dtype=np.int32), 12), np.tile(np.arange(12, dtype=np.int32), 60)
    times = NOW - DAY * (12 - items.astype(np.int64))
    known = known_of(Histories.from_events(60, users, items, np.zeros(720, np.int32), times))
    text_of = np.arange(12, dtype=np.int32) // 2
    judges = np.array([True, False, True, False, True, False])
    counted = Cooccurrence(neighbours=11, min_weight=0.0)
    learnt = pairs_of_texts(known, text_of, ~judges, 300, counted, seed=0)
    judging = pairs_of_texts(known, text_of, judges, 300, counted, seed=0)
    assert set(learnt.left.tolist()) | set(learnt.right.tolist()) == {1, 3, 5}
    assert set(judging.left.tolist()) | set(judging.right.tolist()) == {0, 2, 4}
    assert (learnt.left != learnt.right).all()
    nobody = np.zeros(6, dtype=np.bool_)
    assert len(pairs_of_texts(known, text_of, nobody, 300, counted, seed=0).left) == 0


def test_a_share_of_the_texts_is_held_out_the_same_each_time() -> None:
    held_out = held_out_texts(10_000, 0.2, seed=1)
    assert held_out.sum() == pytest.approx(2_000, rel=0.1)
    assert (held_out == held_out_texts(10_000, 0.2, seed=1)).all()
    assert (held_out != held_out_texts(10_000, 0.2, seed=2)).any()


def test_what_is_no_negative_does_not_count() -> None:
    left, right = torch.eye(2, 3), torch.tensor([[0.6, 0.8, 0.0], [1.0, 0.0, 0.0]])
    # the second right text is the first left one itself: with it as a negative, the first pair could not be learnt
    alone = torch.tensor([[False, True], [False, False]])
    loss = contrastive_loss(left, right, alone, 1.0)
    rows = -torch.log_softmax(torch.tensor([0.8, 0.0]), 0)[1]  # of the second left text: against both
    columns = -torch.log_softmax(torch.tensor([0.6, 0.8]), 0)[0]  # of the first right one: against both
    assert loss.item() == pytest.approx((rows / 2 + columns / 2).item() / 2, abs=1e-6)


@pytest.mark.parametrize("tuned_layers", [1, 3])
def test_a_copy_is_tuned_like_another_base_model_and_leaves_the_first_as_it_was(tuned_layers: int, base: Path) -> None:
    own = Tower.model_validate({**OWN, "tuned_layers": tuned_layers, "base_model": str(base), "max_tokens": 16})
    kept = Untuned.of(TEXTS, own)
    assert bool(kept.texts.states) == (tuned_layers == 1)

    def told(untuned: Untune) -> list[float]:
        seed_everything(3)
        values: list[float] = []
        tuned_tower(Training(tower=own), TEXTS, PAIRS, PAIRS, lambda _, __, value: values.append(value), untuned)
        return values

    fresh = told(Untuned.of)
    assert len(set(fresh)) > 3  # of losses and ranks
    for _ in range(2):
        assert told(lambda *_: kept.copy()) == fresh
    np.testing.assert_array_equal(kept.tower.encode(TEXTS, own.text_batch), kept.vectors)


def test_weights_that_diverged_in_the_last_step_are_not_kept(base: Path) -> None:
    own = Tower.model_validate(
        {
            **OWN,
            "base_model": str(base),
            "max_tokens": 16,
            "steps": 1,
            "learning_rate": 1e30,
            "descent": {"optimiser": "sgd"},
        }
    )
    curve: list[float] = []

    def report(name: str, _: int, value: float) -> None:
        if name == "tower_validation":
            curve.append(value)

    _, before, after = tuned_tower(Training(tower=own), TEXTS, PAIRS, PAIRS, report)
    assert np.isnan(curve[1])
    np.testing.assert_allclose(after, before, atol=1e-6)
