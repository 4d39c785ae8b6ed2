"""`nightshift tune`: the space, a study that is killed and goes on, MLflow, and the way from files to a verdict."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from pydantic import ValidationError
from typer.testing import CliRunner

from contracts.errors import InputError, ModelError, SettingsError
from contracts.interval import midnight_seconds
from contracts.settings import PROJECT, Settings, Training, names
from contracts.tables import EVENTS, INGEST_COUNTS, ITEMS
from models.metrics import Doubles
from models.store import registry
from models.training import Report
from nightshift.bench_model import protocols
from nightshift.bench_model.contest import NO_RANKER, OF_SEQUENCES, encoder_alone, variant
from nightshift.bench_model.files import read
from nightshift.bench_model.protocols import Case, leave_one_out, validation_of
from nightshift.command.app import app
from nightshift.tuning.found import Found, found
from nightshift.tuning.page import page
from nightshift.tuning.run import Wanted, _case
from nightshift.tuning.space import SPACE, space_of
from nightshift.tuning.study import EXPERIMENT, RETRIED, RUN, WATCHED, finished, opened, search
from tests.commands import command
from tests.factories import NIGHT, counted, event, item, noon
from tests.lakes import ArrowLake
from tests.studies import plan_of, settings_of, start, worth

RANGES = [(name, values) for group in SPACE.values() for name, values in group.items()]


def ends(values: BaseDistribution) -> list[Any]:
    """The lowest and the highest value, or all of them."""
    if isinstance(values, CategoricalDistribution):
        return list(values.choices)
    assert isinstance(values, FloatDistribution | IntDistribution)
    return [values.low, values.high]


@pytest.mark.parametrize(("name", "values"), RANGES)
def test_every_range_is_of_a_setting_and_within_its_bounds(name: str, values: BaseDistribution) -> None:
    assert f"training.{name}" in names()
    # a file without times has values of its own for these, which would win over what a study found
    assert name not in OF_SEQUENCES
    for value in ends(values):
        changed = Training().having({name: value})
        assert registry.flat(changed.model_dump()) == registry.flat(Training().model_dump()) | {name: value}


def test_a_value_outside_the_bounds_of_a_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="less than 1"):
        Training().having({"encoder.dropout": 1.0})
    with pytest.raises(KeyError):
        Training().having({"coder.dropout": 0.5})


def test_a_setting_of_the_shops_own_lies_in_its_range() -> None:
    own = Training().having({"encoder.dropout": 0.9, "encoder.refit": 0.0, "tower.tuning": "ia3"})
    space = space_of(own, (), "encoder")
    assert space["encoder.dropout"] == FloatDistribution(0.1, 0.9)
    assert space["encoder.refit"] == FloatDistribution(0.0, 1.0)
    assert space["tower.tuning"] == CategoricalDistribution(("frozen", "lora", "full", "ia3"))
    assert space_of(own.having({"cooccurrence.prior": 0.0}), ["cooccurrence"], "model")[
        "cooccurrence.prior"
    ] == FloatDistribution(0.0, 60.0)


def test_only_what_can_change_the_result_is_varied() -> None:
    def groups(stage: Any) -> set[str]:
        return {name.partition(".")[0] for name in space_of(Training(), (), stage)}

    assert groups("model") == {"encoder", "tower", "cooccurrence", "ranker"}
    assert groups("encoder") == {"encoder", "tower"}
    assert list(space_of(Training(), ["ranker"], "model")) == list(SPACE["ranker"])
    with pytest.raises(SettingsError, match="--only ranker would change nothing: --stage encoder"):
        space_of(Training(), ["ranker"], "encoder")


def test_the_test_items_of_files_are_not_in_the_data(tmp_path: Path) -> None:
    def case(last: str) -> Case:
        lines = [f"u1 a b c d {last}", f"u2 b c {last}", "u3 a b", "u4 c"]
        texts = [f"{name} text {name}" for name in "abcdef"]
        (tmp_path / "sequences").write_text("\n".join(lines))
        (tmp_path / "texts").write_text("\n".join(texts))
        return validation_of(leave_one_out("x", read(tmp_path / "sequences", tmp_path / "texts", "{title}")))

    one, other = case("e"), case("f")
    for name, values in vars(one.histories).items():
        assert np.array_equal(values, vars(other.histories)[name], equal_nan=values.dtype.kind == "f"), name
    catalogue = list(one.catalogue.item_ids)
    users, relevant, _ = one.judged
    taken = dict(zip([one.users[user] for user in users], np.split(relevant.items, relevant.indptr[1:-1]), strict=True))
    assert {user: [catalogue[each] for each in items] for user, items in taken.items()} == {
        "u1": ["d"], "u2": ["c"], "u3": ["b"],
    }  # fmt: skip


def test_the_test_window_of_the_lake_is_not_read(arrow_lake: ArrowLake) -> None:
    days = [NIGHT.replace(day=day) for day in (1, 9, 16, 17, 23)]
    arrow_lake.write(EVENTS, [event("ann", str(n), noon(day), ds=day) for n, day in enumerate(days)])
    arrow_lake.write(ITEMS, [item(str(n)) for n in range(5)])
    arrow_lake.write(INGEST_COUNTS, [counted(day, 1) for day in days])
    settings = arrow_lake.settings
    about, case = _case(Wanted(None, None, None, "model", (), 1, None, None), settings)
    assert about == "2017-12-17"
    assert list(case.histories.items) == [0, 1, 2]
    assert case.now == midnight_seconds(NIGHT.replace(day=10))
    assert case.now + case.horizon == midnight_seconds(NIGHT.replace(day=17))


def params(home: Path, trials: int = 0) -> list[Mapping[str, Any]]:
    """The settings of the trials that are done, in order."""
    with opened(plan_of(settings_of(home), trials)) as study:
        return [trial.params for trial in finished(study)]


@pytest.fixture
def home(tmp_path: Path, prepared_mlflow: Path) -> Path:
    """A home whose MLflow is set up."""
    return prepared(tmp_path, prepared_mlflow)


def prepared(home: Path, mlflow: Path) -> Path:
    """The same folder, with an MLflow that has no runs."""
    (home / "mlflow").mkdir()
    shutil.copy(mlflow, home / "mlflow")
    return home


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, prepared_mlflow: Path) -> Path:
    """A study of eight trials that nobody stopped."""
    home = prepared(tmp_path_factory.mktemp("study"), prepared_mlflow)
    start(home, 8)
    return home


def test_a_study_begins_with_the_defaults_and_learns(undisturbed: Path) -> None:
    plan = plan_of(settings_of(undisturbed), 8)
    assert params(undisturbed)[0] == plan.defaults
    with opened(plan) as study:
        assert study.best_trial.number > 0
        pruned = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
        assert pruned
        assert all(trial.number >= 5 and len(trial.intermediate_values) < 4 for trial in pruned)


def test_a_killed_study_goes_on_as_if_nothing_had_been(undisturbed: Path, home: Path) -> None:
    code = f"from tests.studies import start_and_hang; start_and_hang({str(home)!r}, 2)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "hanging\n"
        process.kill()  # SIGKILL
    plan = plan_of(settings_of(home), 8)
    with opened(plan) as study:
        assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "RUNNING"]
    start(home, 5)
    start(home, 8)
    assert params(home) == params(undisturbed)
    with opened(plan) as study:
        assert study.trials[2].state == TrialState.FAIL
        assert [trial.user_attrs.get(RETRIED) for trial in study.trials] == [None, None, None, 2, *[None] * 5]
        cut_short = study.trials[2].user_attrs[RUN]
    mlflow = registry.client(settings_of(home))
    assert mlflow.get_run(cut_short).info.status == "FAILED"


def test_cut_short_before_it_has_settings_or_twice_in_a_row(undisturbed: Path, home: Path) -> None:
    plan = plan_of(settings_of(home), 8)
    with opened(plan) as study:
        study.ask()  # of the defaults, which are queued

    def stopped(training: Training, report: Report) -> Doubles:
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            start(home, 8, stopped)
    start(home, 8)
    assert params(home) == params(undisturbed)


def test_two_processes_at_one_study_are_refused(home: Path) -> None:
    plan = plan_of(settings_of(home), 1)
    with opened(plan), pytest.raises(InputError, match="a-study is running in another process"), opened(plan):
        pass


@pytest.mark.parametrize("error", [ModelError("diverged"), SettingsError("too many layers"), MemoryError()])
def test_a_trial_whose_settings_cannot_be_is_told_and_the_study_goes_on(error: Exception, home: Path) -> None:
    def fails_later(training: Training, report: Report) -> Doubles:
        if training.encoder.dropout != Training().encoder.dropout:
            raise error
        return worth(training, report)

    start(home, 3, fails_later)
    plan = plan_of(settings_of(home), 3)
    with opened(plan) as study:
        assert [trial.state.name for trial in finished(study)] == ["COMPLETE", "FAIL", "FAIL"]
        told = found(study, plan, "a case")
    assert told.gain is None
    assert told.verdict == "Nothing that was tried beats the defaults."


def test_defaults_that_diverge_end_the_study(home: Path) -> None:
    def diverges(training: Training, report: Report) -> Doubles:
        raise ModelError("diverged")

    with pytest.raises(ModelError, match="diverged"):
        start(home, 3, diverges)
    start(home, 1)
    assert params(home) == [plan_of(settings_of(home), 1).defaults]


def test_no_trial_but_the_defaults_begins_after_the_minutes(home: Path) -> None:
    settings = settings_of(home)
    plan = replace(plan_of(settings, 5), minutes=0.0)
    with opened(plan) as study:
        search(study, plan, worth, registry.client(settings))
        assert len(finished(study)) == 1


def test_mlflow_has_a_run_of_the_study_and_one_below_it_for_each_trial(undisturbed: Path) -> None:
    mlflow = registry.client(settings_of(undisturbed))
    experiment = mlflow.get_experiment_by_name(EXPERIMENT)
    assert experiment
    runs = mlflow.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.info.run_name == "a-study"]
    trials = {int(run.data.tags["trial"]): run for run in runs if run is not parent}
    assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == {parent.info.run_id}
    with opened(plan_of(settings_of(undisturbed), 8)) as study:
        for trial in study.trials:
            run = trials[trial.number]
            assert run.data.params["encoder.dropout"] == str(trial.params["encoder.dropout"])
            assert run.info.status == {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED"}[trial.state]
            curve = {each.step: each.value for each in mlflow.get_metric_history(run.info.run_id, WATCHED)}
            assert curve == trial.intermediate_values
        best = study.best_trial
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["best_run"] == trials[best.number].info.run_id
    assert trials[best.number].data.metrics["ndcg_at_10"] == pytest.approx(best.value)


def of_study(home: Path, trials: int, of_dropout: Any) -> Found:
    """What comes of a study whose trials are worth what ``of_dropout`` says of each user."""

    def objective(training: Training, report: Report) -> Doubles:
        values: Doubles = of_dropout(training.encoder.dropout)
        return values

    start(home, trials, objective)
    plan = plan_of(settings_of(home), trials)
    with opened(plan) as study:
        return found(study, plan, "a case")


def test_a_gain_beyond_its_interval_beats_the_defaults(home: Path) -> None:
    told = of_study(home, 12, lambda dropout: np.array([0.2, np.nan, 0.4]) + (0.5 - dropout) / 10)
    assert told.users == 2
    assert told.gain
    expected = (0.5 - told.best.values["encoder.dropout"]) / 10
    assert (told.gain.mean, told.gain.low, told.gain.high) == pytest.approx((expected, expected, expected))
    assert told.verdict.startswith(f"Trial {told.best.number} beats the defaults")
    assert told.importance
    assert max(told.importance, key=lambda name: told.importance[name]) == "encoder.dropout"  # type: ignore[index]
    assert "What mattered: encoder.dropout" in told.lines()
    values = registry.flat(tomllib.loads(told.lines())["training"])
    assert values == dict(told.best.values)
    assert registry.flat(Training().having(values).model_dump()).items() >= values.items()


def test_a_gain_within_its_interval_does_not(home: Path) -> None:
    noise = np.random.default_rng(0).normal(size=200)
    told = of_study(home, 4, lambda dropout: noise * (0.5 - dropout) + (0.5 - dropout) / 1000)
    assert told.gain
    assert told.gain.mean > 0 > told.gain.low
    assert told.verdict == "Nothing that was tried beats the defaults: the interval of the best one's gain holds 0."
    assert told.verdict in told.lines()
    assert "<script" not in page(told)


QUICK = {
    "tower.tuning": "frozen",
    "encoder.min_steps": 60,
    "encoder.epochs": 2,
    "encoder.refit": 0.0,
    "ranker.windows": 1,
    "ranker.min_steps": 20,
}


@pytest.fixture
def tiny(sequence_files: tuple[Path, Path]) -> Case:
    return validation_of(protocols.leave_one_out("tiny", read(*sequence_files, "{title}")))


def test_the_encoder_alone_is_that_of_the_whole_model(tiny: Case) -> None:
    # without passes over the newest events: there the ranker's random draws would come before them
    training = Training().having(QUICK)
    alone = encoder_alone(tiny, training, lambda *_: None)
    _, inside = variant(tiny.data, tiny, training, "model", NO_RANKER)
    assert np.array_equal(alone.lists, inside.lists)
    assert alone.name == inside.name


def test_a_trial_can_be_pruned_after_any_pass(tiny: Case) -> None:
    passes = []

    def report(curve: str, step: int, value: float) -> None:
        if curve == WATCHED:
            passes.append(step)
            if step == 2:
                raise optuna.TrialPruned

    with pytest.raises(optuna.TrialPruned):
        encoder_alone(tiny, Training().having(QUICK), report)
    assert passes == [1, 2]


@pytest.mark.parametrize("stage", ["encoder", "model"])
def test_from_files_to_a_verdict(
    stage: str, sequence_files: tuple[Path, Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(home))
    (home / "nightshift.toml").write_text(
        "[training]\npatience = 1\n[training.encoder]\nmin_steps = 1\nlayers = 1\n[training.ranker]\nmin_steps = 20\n"
    )
    written = home / "study.html"
    arguments = [
        "tune", "--sequences", str(sequence_files[0]), "--texts", str(sequence_files[1]), "--stage", stage,
        "--only", "encoder", "--html", str(written),
    ]  # fmt: skip
    first = CliRunner().invoke(app, [*arguments, "--trials", "1"])
    assert first.exit_code == 0, first.output
    assert "Nothing that was tried beats the defaults." in first.stdout
    second = CliRunner().invoke(app, [*arguments, "--trials", "2"])
    assert second.exit_code == 0, second.output
    assert ": 2 trials, 0 pruned, 0 failed; validation of leave-one-out of sequences.txt" in second.stdout
    (best,) = (home / "tuning").glob("sequences-*/best.toml")
    assert set(tomllib.loads(best.read_text())["training"]["encoder"]) == {
        "learning_rate", "dropout", "id_dropout", "refit",
    }  # fmt: skip
    assert str(best) in second.stdout
    assert "<svg" in written.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--texts", "a"], 2, "belong together"),
        (["--only", "coder"], 2, "--only expects some of encoder, tower, cooccurrence, ranker, found coder"),
        (["--stage", "encoder", "--only", "ranker"], 64, "--only ranker would change nothing"),
        ([], 65, "has taken in no logs"),
    ],
)
def test_wrong_arguments_are_a_sentence(arguments: list[str], code: int, told: str, settings: Settings) -> None:
    done = command(settings, "tune", *arguments)
    assert done.exit_code == code
    assert told in " ".join(done.output.replace("│", " ").split())
