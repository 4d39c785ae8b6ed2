"""`nightshift bench-techniques`: its variants are those of the docs, and each is measured by the code that trains."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from contracts.errors import InputError
from contracts.settings import PROJECT, Settings, Tower
from models.fit import fit
from nightshift.bench_techniques.measure import Bench, Measured
from nightshift.bench_techniques.results import Refused, Result, compared, documented, row_of
from nightshift.bench_techniques.run import measurements
from nightshift.bench_techniques.variants import DEFAULT, FROZEN, NOT_MEASURED, VARIANTS, Variant
from nightshift.command.app import app
from tests.commands import command
from tests.shops import SETTINGS, no_repeats

DOCS = PROJECT / "docs" / "techniques.md"
IA3 = Variant('tuning = "ia3"')
OWN = SETTINGS.tower.model_copy(update={"tuning": "lora", "tuned_layers": 1, "steps": 4, "learning_rate": 1e-2})


def rows_of_the_docs() -> list[str]:
    rows, inside = [], False
    for line in DOCS.read_text().splitlines():
        inside = line.startswith("|") and (inside or line.endswith("| validation: Office | validation: shop |"))
        if inside and (row := row_of(line)):
            rows.append(row)
    return rows


def test_each_row_of_the_docs_has_a_variant_or_a_reason() -> None:
    rows = rows_of_the_docs()
    assert len(rows) > 25
    assert len(set(rows)) == len(rows)
    assert set(rows) == {each.row for each in VARIANTS} | set(NOT_MEASURED)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda each: each.name)
def test_each_variant_changes_what_it_names_and_nothing_else(variant: Variant) -> None:
    default, changed = Tower().model_dump(), variant.of(Tower()).model_dump()
    own = variant.section
    names = {line.split(" = ")[0] for line in (variant.row, variant.also) if line}
    left = {name for name in changed if changed[name] != default[name]} - {own}
    if own:
        left |= {name for name in changed[own] if changed[own][name] != default[own][name]}
    assert left <= names
    values = changed | (changed[own] if own else {})
    assert all(json.dumps(values[name]) in f"{variant.row} {variant.also}" for name in names)


def test_names_are_told_apart_and_wrong_ones_refused() -> None:
    assert len({each.name for each in VARIANTS}) == len(VARIANTS)
    with pytest.raises(ValidationError, match="optimizer"):
        Variant('optimizer = "sgd"', "descent").of(Tower())


def made(*values: float, **others: object) -> Measured:
    plain = Measured(np.array(values), np.array([np.nan, *values[1:]]), {0: 0.2, 15: 0.4, 30: 0.3}, 10.0, 2.0)
    return replace(plain, **others)  # type: ignore[arg-type]


def test_what_was_measured_comes_back_from_its_file() -> None:
    for each in (made(0.5, float("nan"), 0.0), Measured.refusal("it cannot")):
        again = Measured.from_json(each.to_json())
        np.testing.assert_array_equal(again.of_users, each.of_users)
        np.testing.assert_array_equal(again.of_new, each.of_new)
        assert replace(again, of_users=0, of_new=0) == replace(each, of_users=0, of_new=0)  # type: ignore[arg-type]


MADE = {
    DEFAULT: made(0.5, 0.25, 0.0),
    IA3: made(0.5, 0.75, 0.25, tuning=5.0, encoding=3.0),
    FROZEN: made(0.25, 0.0, 0.0, tuning=0.0, curve={}),
    Variant('inference = "int8"'): Measured.refusal("too far from float32"),
}


def test_variants_are_compared_on_the_same_users() -> None:
    default, ia3, frozen, int8 = compared(MADE)
    assert isinstance(default, Result)
    assert isinstance(ia3, Result)
    assert isinstance(frozen, Result)
    assert ia3.over_frozen
    assert (default.ndcg, ia3.ndcg, ia3.with_repeats) == (0.125, 0.5, 0.5)
    assert (ia3.over_default.mean, ia3.over_frozen.mean) == (0.375, 0.5)
    assert (ia3.over_default.low, ia3.over_default.high) == (0.25, 0.5)
    assert (ia3.times, frozen.times) == ((0.5, 1.5), (0.0, 1.0))
    assert (default.pairs, frozen.pairs) == (0.4, 0.2)
    assert int8 == Refused('inference = "int8"', 'inference = "int8"', "", "too far from float32")


def test_without_the_default_there_is_no_comparison() -> None:
    with pytest.raises(InputError, match="it has no layers"):
        compared(MADE | {DEFAULT: Measured.refusal("it has no layers")})
    with pytest.raises(InputError, match="nobody did yet"):
        compared({FROZEN: MADE[FROZEN]})
    (alone,) = compared({DEFAULT: MADE[DEFAULT]})
    assert isinstance(alone, Result)
    assert alone.over_frozen is None


PAGE = """\
# Techniques

| setting | what it does | validation: Office | validation: shop |
| --- | --- | --- | --- |
| `tuning = "lora"` (the default) | low ranks | not measured yet | |
| `tuning = "ia3"` | scales | not measured yet | not measured yet |
| `base_model` | any | x | y |
| `inference = "int8"` | small | | z |
| `optimiser = "sgd"` | slow | 0.1 | 0.2 |

| `tuning = "ia3"` | in another table |
"""


@pytest.mark.parametrize("column", [2, 3])
def test_a_column_of_the_page_gets_what_was_measured_and_nothing_else_changes(column: int) -> None:
    name = {2: "validation: Office", 3: "validation: shop"}[column]
    page = documented(PAGE, name, compared(MADE))
    lines, before = page.splitlines(), PAGE.splitlines()
    assert [*lines[:4], *lines[9:]] == [*before[:4], *before[9:]]

    def cells(line: str) -> list[str]:
        return [cell.strip() for cell in line.strip("|").split("|")]

    assert [cells(line)[column] for line in lines[4:9]] == [
        "0.1250; pairs 0.4000; time 1.00, 1.00",
        "0.5000 (+0.3750 [+0.2500, +0.5000]); pairs 0.4000; time 0.50, 1.50",
        NOT_MEASURED["base_model"],
        "refused: too far from float32",
        "not measured yet",
    ]
    for line, old in zip(lines[4:9], before[4:9], strict=True):
        assert [cell for at, cell in enumerate(cells(line)) if at != column] == [
            cell for at, cell in enumerate(cells(old)) if at != column
        ]
    assert documented(page, name, compared(MADE)) == page


def test_a_page_without_such_a_column_is_refused() -> None:
    with pytest.raises(InputError, match="No table of the page has a column 'validation: Beauty'"):
        documented(PAGE, "validation: Beauty", [])


def bench_in(home: Path, **changes: object) -> Bench:
    shop = no_repeats()
    training = SETTINGS.model_copy(update={"tower": OWN.model_copy(update=changes)})
    settings = Settings(home=home, training=training)
    return Bench.of(replace(shop, now=shop.now - shop.horizon), settings)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench_in(tmp_path_factory.mktemp("home"))


def test_a_variant_is_tuned_as_the_model_would_be(bench: Bench) -> None:
    measured = bench.measured(OWN)
    curve: dict[int, float] = {}

    def report(name: str, step: int, value: float) -> None:
        if name == "tower_validation":
            curve[step] = value

    shop = no_repeats()
    fit(shop.data, bench.settings.training, report)  # whose validation window is the one that is judged here
    assert measured.curve == curve
    assert set(curve) == {0, 1, 2, 3, 4}
    assert len(measured.of_users) == len(bench.judging.judged[0])
    assert 0 < np.nanmean(measured.of_users) < 1
    assert measured.tuning > 0
    assert measured.encoding > 0


def test_a_variant_does_not_depend_on_those_before_it(bench: Bench, tmp_path: Path) -> None:
    ia3 = IA3.of(OWN)
    bench.measured(OWN)
    after, alone = bench.measured(ia3), bench_in(tmp_path).measured(ia3)
    assert after.curve == alone.curve != bench.measured(OWN).curve
    np.testing.assert_array_equal(after.of_users, alone.of_users)


def test_what_was_measured_is_not_measured_again_unless_something_changed(bench: Bench) -> None:
    first = bench.measured(OWN)
    file = bench.kept(OWN)
    file.write_text(replace(first, tuning=123.0).to_json())
    assert bench.measured(OWN).tuning == 123.0
    file.write_text(first.to_json())
    assert bench.kept(IA3.of(OWN)) != file
    assert replace(bench, made_from={**bench.made_from, "snapshot": "another"}).kept(OWN) != file


def test_what_is_refused_is_a_reason_and_the_rest_goes_on(bench: Bench, tmp_path: Path) -> None:
    strict = bench_in(tmp_path, int8_min_cosine=1.0)
    diverging = Variant('optimiser = "sgd"', "descent", also="learning_rate = 1e30")
    variants = [DEFAULT, Variant('inference = "int8"'), FROZEN, diverging]
    made = measurements(strict, variants)
    assert list(made) == variants
    assert [bool(each.refused) for each in made.values()] == [False, True, False, False]
    assert "expected at least 1" in made[variants[1]].refused
    assert made[FROZEN].curve == {}
    assert made[FROZEN].tuning == 0
    assert list(made[diverging].curve) == [0]
    np.testing.assert_array_equal(made[diverging].of_users, made[FROZEN].of_users)


def test_files_become_a_table_a_page_and_rows_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_HOME", str(tmp_path))
    (tmp_path / "nightshift.toml").write_text("[training.tower]\nsteps = 2\nbatch = 16\n")
    random = np.random.default_rng(0)
    walks = [
        [f"{kind}{(start + n) % 8}" for n in range(6)]
        for kind in ("tea", "soap")
        for start in random.integers(0, 8, 40)
    ]
    (tmp_path / "sequences.txt").write_text("\n".join(f"u{user} {' '.join(walk)}" for user, walk in enumerate(walks)))
    (tmp_path / "texts.txt").write_text(
        "\n".join(f"{kind}{n} {kind} number {n}" for kind in ("tea", "soap") for n in range(8))
    )
    docs = tmp_path / "docs.md"
    docs.write_text(PAGE.replace("Office", "sequences"))
    written, page = tmp_path / "bench.json", tmp_path / "bench.html"
    arguments = [
        "bench-techniques",
        "--sequences",
        str(tmp_path / "sequences.txt"),
        "--texts",
        str(tmp_path / "texts.txt"),
    ]
    files = ["--json", str(written), "--html", str(page), "--docs", str(docs)]
    told = CliRunner().invoke(app, [*arguments, "--only", "cosine", *files])
    assert told.exit_code == 0, told.output
    outcome = json.loads(written.read_text())
    assert outcome["users"] == 80
    assert [each["name"] for each in outcome["results"]] == [DEFAULT.name, FROZEN.name, 'schedule = "cosine"']
    assert all(0 < each["ndcg"] < 1 for each in outcome["results"])
    assert "over frozen" in told.stdout
    assert "<svg" in page.read_text()
    assert "<script" not in page.read_text()
    assert "time 1.00, 1.00" in docs.read_text()
    again = CliRunner().invoke(app, [*arguments, "--no-measure"])
    of_variants = [line for line in told.stdout.splitlines() if " = " in line]
    assert set(of_variants) <= set(again.stdout.splitlines())
    assert len(of_variants) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [(["--texts", "a"], 2, "belong together"), ([], 65, "has taken in no logs")],
)
def test_wrong_arguments_are_a_sentence(arguments: list[str], code: int, told: str, settings: Settings) -> None:
    done = command(settings, "bench-techniques", *arguments)
    assert done.exit_code == code
    assert told in " ".join(done.output.replace("│", " ").split())
