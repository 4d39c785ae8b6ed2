"""Where the lake and the landing folder may lie, and what each library is told of a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts import places, s3
from contracts.errors import SettingsError
from contracts.mapping import load_mapping
from contracts.settings import Settings, load_settings
from nightshift.runtime.setup_spark import defaults

ENDPOINT = "http://127.0.0.1:9000"


def said(tmp_path: Path, storage: str, more: str = "") -> Settings:
    """The settings of a file with these lines below ``[storage]``."""
    (tmp_path / "nightshift.toml").write_text(f"[storage]\n{storage}\n{more}")
    return load_settings({"NIGHTSHIFT_HOME": str(tmp_path)})


@pytest.fixture(autouse=True)
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of whoever runs the tests."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_setting_both_are_folders_of_the_home(tmp_path: Path) -> None:
    settings = said(tmp_path, "")
    assert (settings.lake, settings.landing) == (tmp_path / "lake", tmp_path / "landing")
    assert not places.is_remote(settings.lake)
    assert "s3a" not in defaults(settings, [], "")


@pytest.mark.parametrize(
    ("text", "found"),
    [("/data/lake", "/data/lake"), ("file:/data/the%20lake", "/data/the lake"), ("file:///data/lake/", "/data/lake")],
)
def test_a_folder_is_said_by_its_path_or_its_uri(tmp_path: Path, text: str, found: str) -> None:
    assert said(tmp_path, f'lake = "{text}"').lake == Path(found)


def test_a_relative_folder_is_so_to_the_home(tmp_path: Path) -> None:
    assert said(tmp_path, 'landing = "logs/in"').landing == tmp_path / "logs/in"


def test_a_place_in_a_store_behaves_like_a_path(tmp_path: Path) -> None:
    lake = said(tmp_path, 'lake = "s3a://shop/the/lake/"').lake
    assert places.is_remote(lake)
    table = lake / "staging/intake_2017-12-23"
    assert str(table) == "s3a://shop/the/lake/staging/intake_2017-12-23"
    assert places.key(table) == "shop/the/lake/staging/intake_2017-12-23"
    assert table.relative_to(lake).as_posix() == "staging/intake_2017-12-23"
    assert places.like(lake, str(table)) == table


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("s3://shop/lake", "the scheme is s3a:"),
        ("gs://shop/lake", "gs: is not supported yet"),
        ("abfss://shop@account.dfs.core.windows.net/lake", "abfss: is not supported yet"),
        ("hdfs://name/lake", "hdfs: is not supported yet"),
        ("ftp://host/lake", "ftp: is no known scheme"),
        ("file://host/lake", "of another machine"),
        ("s3a://shop", "expected s3a://bucket/folder"),
        ("s3a://key:secret@shop/lake", "without credentials or a port"),
        ("s3a://shop/la*ke", "has none of"),
        ("s3a://shop//lake//x", "no empty part"),
    ],
)
def test_what_cannot_be_kept_safe_is_refused_in_one_line(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=r"storage\.lake") as refused:
        said(tmp_path, f'lake = "{text}"')
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_each_library_is_told_the_same_store(tmp_path: Path) -> None:
    settings = said(tmp_path, f'lake = "s3a://shop/lake"\nendpoint = "{ENDPOINT}/"\nregion = "eu-central-1"')
    store = settings.storage.store
    assert store == s3.Store(ENDPOINT, "eu-central-1")
    assert s3.fsspec_options(store)["client_kwargs"] == {"endpoint_url": ENDPOINT, "region_name": "eu-central-1"}
    assert s3.delta_options(store) == {
        "aws_conditional_put": "etag",
        "aws_endpoint": ENDPOINT,
        "aws_allow_http": "true",
        "aws_region": "eu-central-1",
    }
    lines = defaults(settings, [], "").splitlines()
    assert f"spark.hadoop.fs.s3a.endpoint {ENDPOINT}" in lines
    assert "spark.hadoop.fs.s3a.path.style.access true" in lines
    assert "spark.delta.logStore.s3a.impl io.delta.storage.S3SingleDriverLogStore" in lines


def test_amazons_own_store_needs_nothing_said(tmp_path: Path) -> None:
    store = said(tmp_path, 'lake = "s3a://shop/lake"').storage.store
    assert store == s3.Store(None, None)
    assert s3.delta_options(store) == {"aws_conditional_put": "etag"}
    assert not [name for name in s3.spark_options(store) if "endpoint" in name or "path.style" in name]


def test_the_environment_says_what_the_settings_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", ENDPOINT)
    assert said(tmp_path, "").storage.store == s3.Store(ENDPOINT, "us-east-1")


@pytest.mark.parametrize(
    "option", ["spark.delta.logStore.class", "spark.delta.logStore.s3a.impl", "spark.hadoop.fs.s3a.performance.flags"]
)
def test_what_makes_commits_unsafe_is_refused(tmp_path: Path, option: str) -> None:
    settings = said(tmp_path, 'lake = "s3a://shop/lake"', f'[spark.options]\n"{option}" = "an.other.LogStore"\n')
    with pytest.raises(SettingsError, match=option):
        defaults(settings, [], "")


def test_logs_can_lie_elsewhere_in_the_store(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text('[logs]\npath = "s3a://export/clicks"\n[event]\n')
    with pytest.raises(SettingsError, match=r"s3a: needs its jars"):
        load_mapping(said(tmp_path, ""))
    settings = said(tmp_path, 'landing = "s3a://shop/landing"')
    with pytest.raises(SettingsError, match="event"):  # the path itself is right
        load_mapping(settings)
    (tmp_path / "mapping.toml").unlink()
    assert str(load_mapping(settings).logs.path) == "s3a://shop/landing/events"
