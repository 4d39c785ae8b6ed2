"""Fine-tunes a challenger: item tower, user encoder and ranker, on the newest snapshot of sequences.

    python -m models.fine_tune --start 2017-12-16 --end 2017-12-23 --run-id by-hand

The test window is not read. The tower and the encoder are trained on what is older than the ranker's windows,
so that their scores inside those windows are as honest as on new data; the ranker is fitted on the weekly
windows up to the end of the validation window. A model of the same snapshot and settings is not trained twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from models import artifact, ranker, registry, user_encoder
from models.catalogue import Catalogue
from models.cooccurrence import Neighbours, PairSettings, neighbours
from models.devices import seed_everything, training_device
from models.features import DailyCounts, Habits, ItemStats, habits, popularity
from models.histories import DAY, Floats, Histories, Ints, Longs
from models.item_tower import ItemTower, Pairs, Texts, base_model_folder, first_tuned, merged, tune, with_adapters
from models.metrics import Relevant, hits, ndcg
from models.published import TOWER, ItemKnowledge, PublishedModel
from models.scoring import Shelf, best_matches, features_of, find_candidates, shelf_order
from models.snapshot import Split, is_target, read_catalogue, read_split
from models.text_vectors import TextVectors
from models.user_encoder import UserEncoder, encode_users
from spark_jobs.contracts.cli import entry, log, parser, run_of, timed
from spark_jobs.contracts.settings import Settings, Training
from spark_jobs.contracts.windows import TEST, VALIDATION, Windows

CURVES = "training.json"
"""Beside the model: the training's curves, for the report."""

PAIR_NEIGHBOURS = 20
"""Neighbours of an item that the tower is pulled towards."""

TRAINING_PAIRS = 200_000
HELD_OUT_PAIRS = 400
"""Pairs of the validation window by which the tower's steps are judged."""


def model_id(settings: Settings, windows: Windows) -> str:
    """Names a model by what it is made from: same snapshot, same settings, same id."""
    made_from = json.dumps(
        [windows.snapshot_id, settings.training.model_dump(), settings.ingest.model_dump()], sort_keys=True
    )
    return f"{windows.end}-{hashlib.sha256(made_from.encode()).hexdigest()[:8]}"


def warm_items(histories: Histories, items: int, at_least: int) -> Longs:
    """Items with enough events to learn from, ascending."""
    return np.flatnonzero(np.bincount(histories.items, minlength=items) >= at_least)


def taken_together(histories: Histories, text_of: Ints, now: int, count: int, seed: int) -> Pairs:
    """Pairs of texts of items that users take together, or one trip after the other, more often than chance.

    A purchase and any later one of the same user are nearly independent in a shop of staples: pulling such pairs
    together collapses all vectors into one. So pairs are drawn by the lift of their co-occurrence. Frequent items
    are drawn less often (with the root of their frequency). Pairs of equal texts teach nothing and are left out.

    Args:
        histories: Events that pairs are counted in.
        text_of: Text of each item of the catalogue, [items].
        now: End of the events, seconds.
        count: Pairs to draw.
        seed: Of the draw.
    """
    random = np.random.default_rng(seed)
    near = neighbours(histories, now, len(text_of), PairSettings(neighbours=PAIR_NEIGHBOURS))
    frequency = np.bincount(histories.items, minlength=len(text_of))
    weight = near.weights * np.sqrt(frequency)[:, None] / np.maximum(near.weights.sum(1, keepdims=True), 1e-12)
    if not weight.any():
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64))
    drawn = random.choice(weight.size, count, p=weight.ravel() / weight.sum(dtype=np.float64))
    left = text_of[drawn // PAIR_NEIGHBOURS].astype(np.int64)
    right = text_of[near.items.ravel()[drawn]].astype(np.int64)
    return Pairs(left[left != right], right[left != right])


def pair_rank(tower: ItemTower, texts: Texts, pairs: Pairs, batch: int) -> float:
    """Mean reciprocal rank of each pair's second text among all second texts."""
    if not len(pairs.before):
        return 0.0
    used, where = np.unique(np.concatenate([pairs.before, pairs.after]), return_inverse=True)
    vectors = tower.encode_rows(texts, used.tolist(), batch)
    before, after = where[: len(pairs.before)], np.unique(where[len(pairs.before) :])
    scores = vectors[before] @ vectors[after].T
    own = (vectors[before] * vectors[where[len(pairs.before) :]]).sum(1)
    return float((1 / (1 + (scores > own[:, None] + 1e-6).sum(1))).mean())


def tune_tower(
    settings: Training,
    texts: Sequence[str],
    pairs: Pairs,
    held_out: Pairs,
    report: Callable[[str, int, float], None],
) -> tuple[ItemTower, Floats, Floats]:
    """The tuned tower on the CPU, and the texts' vectors before and after, [texts, size]."""
    device = training_device()
    tower = ItemTower.load(base_model_folder(settings.base_model), settings.max_tokens).to(device)
    with timed(f"Encoding {len(texts):,} texts with the pre-trained tower"):
        before, known = tower.encode_first(texts, settings.text_batch, first_tuned(tower, settings))
    if settings.tuning == "frozen":
        return tower.cpu(), before, before
    tower = with_adapters(tower, settings)
    with timed(f"Tuning the item tower ({settings.tuning}, last {settings.lora_layers} layers)"):
        tune(tower, known, pairs, settings, lambda: pair_rank(tower, known, held_out, settings.text_batch), report)
        tower = merged(tower)
    with timed(f"Encoding {len(texts):,} texts with the tuned tower"):
        after = tower.encode_rows(known, range(len(texts)), settings.text_batch)
    return tower.cpu(), before, after


def train_encoder(
    settings: Settings,
    text: Floats,
    warm: Longs,
    items: int,
    histories: Histories,
    validation: Split,
    report: Callable[[str, int, float], None],
) -> UserEncoder:
    """The user encoder, trained on ``histories`` and stopped by NDCG@10 on the validation window.

    Args:
        settings: All settings.
        text: Tuned vectors of the warm items, [warm items, size].
        warm: Their numbers.
        items: Size of the catalogue.
        histories: Training events, numbered by the catalogue.
        validation: Histories before, and items taken in, the validation window.
        report: Told the curves.
    """
    training = settings.training
    place = np.full(items + 1, -1, dtype=np.int32)  # the last one serves -1
    place[warm] = np.arange(len(warm))
    device = training_device()
    model = UserEncoder(text.shape[1], len(warm), len(settings.ingest.behaviours), training).to(device)
    model.text_mean.copy_(torch.from_numpy(text.mean(0)))
    known = user_encoder.Items(
        torch.from_numpy(text).to(device),
        torch.arange(1, len(warm) + 1, device=device),
        np.bincount(place[histories.items[histories.items >= 0]].clip(0), minlength=len(warm)),
    )
    train_events = _renumbered(histories, place).last(training.encoder_history)
    chosen = np.flatnonzero((validation.relevant.counts > 0) & (validation.histories.lengths > 0))
    judged = _renumbered(validation.histories.take(chosen.astype(np.int32)), place)
    relevant = validation.relevant.take(chosen)
    relevant = Relevant(relevant.indptr, np.where(place[relevant.items] >= 0, place[relevant.items], len(warm)))

    def validate() -> float:
        with torch.inference_mode():
            vectors = model.eval().item_vectors(known.text, known.own)
        users = encode_users(model, vectors, judged, training.encoder_length, 256)
        ranked = best_matches(users, vectors.cpu().numpy(), np.ones(len(warm), dtype=np.bool_), 10)
        return float(np.nanmean(ndcg(hits(ranked, relevant), relevant.counts)))

    with timed(f"Training the user encoder on {len(train_events.items):,} events"):
        user_encoder.train(model, known, train_events, is_target(train_events, settings), training, validate, report)
    return model.cpu()


def _renumbered(histories: Histories, place: Ints) -> Histories:
    """Histories over the warm items only, numbered by ``place`` [items + 1]."""
    moved = Histories(histories.indptr, place[histories.items], histories.behaviours, histories.times)
    return moved.select(moved.items >= 0)


def shelf_of(
    catalogue: Catalogue, vectors: Floats, past: Histories, known: Habits, near: Neighbours, now: int
) -> Shelf:
    """The items as of ``now``, for training: what can be sold and has a vector."""
    popular = popularity(DailyCounts.from_histories(past), now, len(catalogue))
    allowed = catalogue.available & vectors.any(axis=1)
    return Shelf(
        vectors,
        allowed,
        catalogue.codes[1],
        near,
        ItemStats(catalogue.codes, popular, known),
        shelf_order(popular, allowed),
    )


def fit_ranker(
    settings: Settings, catalogue: Catalogue, vectors: Floats, encoder: UserEncoder, histories: Histories, end: int
) -> tuple[ranker.Ranker, dict[str, float]]:
    """The ranker, fitted on the weekly windows before ``end`` (seconds), and the weight of its features."""
    training = settings.training

    def window(nth: int) -> ranker.Window:
        """The week that ends ``nth - 1`` weeks before the end."""
        now = end - nth * 7 * DAY
        past, future = histories.between(0, now), histories.between(now, now + 7 * DAY)
        relevant = Relevant.from_histories(future.select(is_target(future, settings)))
        users = np.flatnonzero((relevant.counts > 0) & (past.lengths > 0))
        targets = past.select(is_target(past, settings))
        near = neighbours(targets, now, len(catalogue), PairSettings(neighbours=training.neighbours))
        shelf = shelf_of(catalogue, vectors, targets, habits(targets, now, catalogue.codes), near, now)
        past, taken = past.take(users.astype(np.int32)), targets.take(users.astype(np.int32))
        matched, length = settings.scoring.matched, training.encoder_length
        found = find_candidates(past, taken, shelf, encoder, matched, length, now)
        labels = ranker.label(found.candidates, relevant.take(users), len(catalogue))
        kept, labels = ranker.sample(found.candidates, labels, training.ranker_negatives, training.seed + nth)
        features = features_of(found, kept, taken, shelf, encoder, now)
        return ranker.Window(features, labels, kept.indptr)

    with timed(f"Features of {training.ranker_windows} weekly windows"), ThreadPoolExecutor(2) as aside:
        # NumPy works on one core: two windows at once, and no more, for their memory
        windows = list(aside.map(window, range(training.ranker_windows, 0, -1)))
    with timed("Fitting the ranker"):
        chosen = ranker.RankerSettings(hidden=training.ranker_hidden, epochs=training.ranker_epochs, seed=training.seed)
        fitted = ranker.fit(windows, chosen)
        return fitted, fitted.importance(windows[-1].features[:100_000])


def run(settings: Settings, windows: Windows) -> str:
    """Trains, saves and registers the challenger, and gives its id."""
    training = settings.training
    name = model_id(settings, windows)
    folder = settings.models / name
    mlflow = registry.client(settings)
    if (folder / artifact.MANIFEST).is_file():
        about = artifact.verify(folder)
        log.info("Model %s is already trained.", name)
        registry.register(settings, mlflow, name, about["mlflow_run"])
        return name
    seed_everything(training.seed)
    catalogue = read_catalogue(settings)
    validation = read_split(settings, catalogue, windows.snapshot_id, VALIDATION)
    # what lies before the test window, the validation window included: the ranker's windows are cut from it
    histories = read_split(settings, catalogue, windows.snapshot_id, TEST).histories
    histories = histories.select(histories.items >= 0)
    first_window = windows.test_start - training.ranker_windows * 7 * DAY
    older = histories.between(0, first_window)
    warm = warm_items(older, len(catalogue), training.min_item_events)
    texts, text_of_warm = np.unique(catalogue.texts[warm].astype(str), return_inverse=True)
    text_of = np.full(len(catalogue), 0, dtype=np.int32)
    text_of[warm] = text_of_warm
    is_warm = np.zeros(len(catalogue), dtype=np.bool_)
    is_warm[warm] = True
    older_warm = older.select(is_warm[older.items])
    log.info("%d users, %s events, %s warm items", len(histories), f"{len(older.items):,}", f"{len(warm):,}")

    run_id = registry.start_run(
        mlflow, name, training.model_dump(), {"snapshot_id": windows.snapshot_id, "model_id": name}
    )
    tracker = registry.Tracker(mlflow, run_id)
    inside = histories.between(windows.validation_start, windows.test_start)
    pairs = taken_together(older_warm, text_of, first_window, TRAINING_PAIRS, training.seed)
    judged = inside.select(is_warm[inside.items])
    held_out = taken_together(judged, text_of, windows.test_start, HELD_OUT_PAIRS, training.seed)
    tower, before, after = tune_tower(training, list(texts), pairs, held_out, tracker.report)

    encoder = train_encoder(settings, after[text_of_warm], warm, len(catalogue), older, validation, tracker.report)
    own = np.zeros(len(catalogue), dtype=np.int32)
    own[warm] = np.arange(1, len(warm) + 1)
    vectors = np.zeros((len(catalogue), training.vector_size), dtype=np.float32)
    with torch.inference_mode():
        made = encoder.eval().item_vectors(torch.from_numpy(after[text_of_warm]), torch.from_numpy(own[warm]).long())
    vectors[warm] = made.numpy()
    fitted, importance = fit_ranker(settings, catalogue, vectors, encoder, histories, windows.test_start)

    with timed("Saving"):
        targets = histories.select(is_target(histories, settings))
        model = PublishedModel(
            {
                "model_id": name,
                "snapshot_id": windows.snapshot_id,
                "behaviours": list(settings.ingest.behaviours),
                "settings": training.model_dump(),
                "text_size": after.shape[1],
            },
            encoder,
            fitted,
            ItemKnowledge(
                list(catalogue.item_ids),
                own,
                neighbours(targets, windows.test_start, len(catalogue), PairSettings(neighbours=training.neighbours)),
                habits(targets, windows.test_start, catalogue.codes),
            ),
        )
        with artifact.complete_or_absent(folder) as draft:
            model.save(draft)
            tower.save(draft / TOWER)
            TextVectors.of(list(texts), before, after).save(draft)
            curves = {"curves": tracker.curves, "importance": importance}
            (draft / CURVES).write_text(json.dumps(curves) + "\n")
            artifact.write_manifest(draft, {"model_id": name, "mlflow_run": run_id, "base": training.base_model})
        tracker.flush()
        mlflow.set_terminated(run_id)
        registry.register(settings, mlflow, name, run_id)
    return name


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    arguments = run_of(parser(__doc__).parse_args(argv))
    name = run(settings, Windows.of(settings, arguments.interval.end))
    log.info("Challenger: %s in %s", name, settings.models / name)


if __name__ == "__main__":
    entry(main)
