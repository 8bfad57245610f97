"""What goes wrong: what is said, with which exit code, and what the next run makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonde.account import Account, CostLimitError
from sonde.errors import BackendError
from sonde.run.execute import Done
from sonde.sql import UnsupportedSql, expression
from sonde.warehouse.bigquery import BigQuery
from tests import browser
from tests.bigquery import test_tables as whole
from tests.bigquery.emulator import PROJECT, Emulator, fill_telemetry
from tests.bigquery.test_tables import opened, run, tables
from tests.commands import ended
from tests.run.test_analysis import RUN_DATE

DAY = "--date=2020-04-12"
WEEK = "test_experiment_enrollments_clients_daily_week_1"
SMALL = """
[metrics]
weekly = ["active_hours"]

[metrics.active_hours]
analysis_bases = ["enrollments"]

[metrics.active_hours.statistics.linear_model_mean]
drop_highest = 0
"""


def project(folder: Path, dataset: str, more: str = "", experiment: str = SMALL) -> Path:
    return whole.project(folder, dataset, more, experiment)


@pytest.fixture
def filled(emulator: Emulator) -> Emulator:
    fill_telemetry(emulator)
    return emulator


def test_what_it_costs(
    filled: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every table that a query names counts as 1 GiB here: events, then clients_daily."""
    folder = project(tmp_path, "priced", "price_per_tib = 1024")
    assert ended("plan", "--project", folder, DAY, "--cost") == 0
    assert capsys.readouterr().out.splitlines() == [
        "test-experiment: enrollments_test_experiment: 1 GiB for 1.00",
        f"test-experiment: {WEEK}: 1 GiB for 1.00",
        "in all 2 GiB for 2.00",
    ]


def test_a_run_over_the_limit_does_nothing(
    filled: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(tmp_path, "dear", "price_per_tib = 1024\nmax_cost = 1.5")
    assert ended("run", "--project", folder, DAY) == 2
    assert capsys.readouterr().err.strip() == (
        "error: this run would read 2 GiB for 2.00, more than warehouse.max_cost = 1.5 allows; "
        "raise it in sonde.toml, or run fewer experiments with --experiment"
    )
    assert "dear" not in {d.dataset_id for d in filled.client.list_datasets(retry=None)}


def test_a_query_that_grew_over_the_limit(emulator: Emulator) -> None:
    """BigQuery itself holds to the limit, whatever was said before."""
    account = Account(PROJECT, "dear", None, 1024, max_cost=0.5, emulator=emulator.url)
    with pytest.raises(CostLimitError, match=r"limit for bytes billed; .* raise it in sonde.toml"):
        BigQuery(account).rows("SELECT * FROM `mozdata.telemetry.clients_daily`")


def test_a_table_that_may_not_be_read(
    filled: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(tmp_path, "refused")
    definitions = browser.DEFINITIONS.replace("telemetry.clients_daily", "telemetry.forbidden")
    (folder / "metric-hub" / "definitions" / "firefox_desktop.toml").write_text(definitions)
    assert ended("run", "--project", folder, DAY) == 3
    said = capsys.readouterr().out
    assert "BigQuery refuses access: Access Denied: Table forbidden" in said
    assert "ask its owner for the role BigQuery Data Viewer" in said


def test_nobody_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:9")
    assert ended("run", "--project", project(tmp_path, "none"), DAY) == 75
    assert "BigQuery cannot be reached" in capsys.readouterr().err


def test_no_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("BIGQUERY_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    assert ended("run", "--project", project(tmp_path / "p", "none"), DAY) == 2
    assert "run `gcloud auth application-default login`" in capsys.readouterr().err


@pytest.mark.slow
def test_a_metric_that_fails_loses_itself(
    filled: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told before anything is read; because of its type; because of a value."""
    folder = project(
        tmp_path,
        "partly",
        experiment=with_metrics(
            unknown="SUM(no_such_column)",
            word="MAX(client_id)",
            broken="SUM(CAST(client_id AS INT64))",
        ),
    )
    assert ended("run", "--project", folder, DAY) == 3
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert sorted(line.split(": ")[2] for line in lines) == ["broken", "unknown", "word"]
    assert "a statistic needs a number or a boolean" in said
    assert known(filled, "partly") == {"active_hours", "identity"}


@pytest.mark.slow
def test_sql_that_only_bigquery_knows(filled: Emulator, tmp_path: Path) -> None:
    sql = "COUNT(DISTINCT FARM_FINGERPRINT(client_id))"
    with pytest.raises(UnsupportedSql):
        expression(sql)
    folder = project(tmp_path, "own", experiment=with_metrics(prints=sql))
    assert ended("run", "--project", folder, DAY) == 0
    assert known(filled, "own") == {"active_hours", "identity", "prints"}


def with_metrics(**metrics: str) -> str:
    declared = "".join(
        f'[metrics.{name}]\nselect_expression = "{sql}"\ndata_source = "clients_daily"\n'
        f'analysis_bases = ["enrollments"]\n[metrics.{name}.statistics.sum]\n'
        for name, sql in metrics.items()
    )
    listed = ", ".join(f'"{name}"' for name in ("active_hours", *metrics))
    return SMALL.replace('["active_hours"]', f"[{listed}]", 1) + declared


def known(emulator: Emulator, dataset: str) -> set[object]:
    """The metrics with results."""
    view = f"{dataset}.statistics_test_experiment_weekly"
    return {row["metric"] for row in emulator.rows(f"SELECT DISTINCT metric FROM {view}")}


def test_the_emulator_restarts(
    installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends in the middle of a run; the next completes it, and nothing is lost or doubled."""
    kept = tmp_path / "kept"
    kept.mkdir()
    server = Emulator(tmp_path / "log", kept)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
    folder = project(tmp_path / "project", "again")
    with server.running():
        fill_telemetry(server)
        here = opened(folder)
        reports = here.run(here.work(RUN_DATE), 1)
        assert isinstance(next(reports), Done)
        server.kill()
        with pytest.raises(BackendError, match="BigQuery cannot be reached"):
            next(reports)
    assert ended("run", "--project", folder, DAY) == 75
    with server.running():
        assert run(folder) == 2
        assert run(folder) == 0
        rows = server.rows("SELECT * FROM again.statistics_test_experiment_weekly")
        assert set(tables(server, "again")) == {
            "enrollments_test_experiment",
            WEEK,
            "test_experiment_enrollments_weekly",
            "statistics_test_experiment_week_1",
            "statistics_test_experiment_weekly",
        }
    means = [
        row["point"] for row in rows if row["statistic"] == "mean_lm" and not row["comparison"]
    ]
    counts = [row["point"] for row in rows if row["statistic"] == "count"]
    assert sorted(means) == pytest.approx([0.3, 0.8])
    assert counts == [1.0, 1.0]


@pytest.mark.slow
def test_a_table_that_somebody_dropped_is_made_again(filled: Emulator, tmp_path: Path) -> None:
    folder = project(tmp_path, "dropped")
    run(folder)
    lost = (WEEK, "statistics_test_experiment_week_1")
    for name in lost:
        filled.client.delete_table(f"{PROJECT}.dropped.{name}", retry=None)
    assert run(folder) == 1
    assert set(lost) <= set(tables(filled, "dropped"))
    assert run(folder) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("units", browser.SLUG, "units.parquet", DAY), "units stay in BigQuery"),
        (("replay", browser.SLUG), "computed again from files only"),
    ],
)
def test_what_only_files_can_do(
    emulator: Emulator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
) -> None:
    assert ended(*words, "--project", project(tmp_path, "none")) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_preview_is_apart(
    filled: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(tmp_path, "shown")
    days = ("--start-date=2020-03-30", "--end-date=2020-04-12", "--enrollment-period=7")
    assert ended("preview", browser.SLUG, "--project", folder, *days) == 0
    assert "active_hours" in capsys.readouterr().out
    datasets = {each.dataset_id for each in filled.client.list_datasets(retry=None)}
    assert "shown_preview" in datasets
    assert "shown" not in datasets


def test_settings_that_do_not_go_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = '[run]\nwindows = "incremental"\n[tables]\n"a.b" = "c"'
    assert ended("plan", "--project", project(tmp_path, "none", more), DAY) == 2
    said = capsys.readouterr().err
    assert "BigQuery computes windows from rows only" in said
    assert "BigQuery reads tables by the names that SQL has" in said
