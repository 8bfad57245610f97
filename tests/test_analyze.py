"""One file with one row per unit: the numbers of the statistics, and errors that help."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from sonde.cli import main
from sonde.stats.arrays import estimate
from sonde.stats.needs import Columns
from sonde.stats.registry import statistic


def units(seed: int = 7, rows: int = 3_000) -> pa.Table:
    """Three branches; a covariate, a share, a ratio's parts, a column with gaps."""
    rng = np.random.default_rng(seed)
    branch = np.array(["control", "treatment", "other"])[rng.integers(0, 3, rows)]
    before = rng.gamma(2, 3, rows)
    searches = before + rng.normal(0, 1, rows) + 0.3 * (branch == "treatment")
    gaps = np.where(rng.random(rows) < 0.1, np.nan, searches)
    return pa.table(
        {
            "branch": branch,
            "searches": searches,
            "before": before,
            "clicked": rng.integers(0, 2, rows),
            "clicks": rng.poisson(2, rows),
            "gaps": pa.array(gaps, mask=np.isnan(gaps)),
        }
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("units") / "units.parquet"
    pq.write_table(units(), path)
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code, and what was printed."""
    code: object = 0
    try:
        main(["analyze", *map(str, arguments)])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return int(code or 0), captured.out + captured.err  # type: ignore[call-overload]


def rows(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    code, text = said(capsys, *arguments, "--format", "json")
    assert code == 0, text
    found: list[dict[str, Any]] = json.loads(text)
    return found


def arrays(table: pa.Table, *columns: str) -> dict[str, dict[str, Any]]:
    """The same units for the statistics themselves."""
    branch = table["branch"].to_numpy()
    return {
        name: {c: table[c].to_numpy().astype(float)[branch == name] for c in columns}
        for name in ("control", "treatment", "other")
    }


@pytest.mark.parametrize(
    ("metric", "name", "params", "columns"),
    [
        ("searches", "linear_model_mean", {}, Columns("searches", "before")),
        ("clicked", "binomial", {}, Columns("clicked")),
        ("searches=deciles", "deciles", {}, Columns("searches")),
        ("gaps=linear_model_mean", "linear_model_mean", {}, Columns("gaps")),
        ("clicks=sum", "sum", {}, Columns("clicks")),
        (
            "r=population_ratio:numerator=clicks,denominator=before",
            "population_ratio",
            {"numerator": "clicks", "denominator": "before"},
            Columns("clicks"),
        ),
    ],
)
def test_the_numbers_are_those_of_the_statistics(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    metric: str,
    name: str,
    params: dict[str, object],
    columns: Columns,
) -> None:
    covariate = ["--covariate", "searches=before"] if columns.covariate else []
    found = rows(capsys, file, "--branch", "branch", "--metric", metric, *covariate)
    used = {columns.value, columns.covariate, *params.values()} - {None}
    expected = estimate(
        statistic(name, params), arrays(units(), *map(str, used)), columns, ["control"]
    )
    by_key = {(e.branch, e.comparison, e.parameter): e for e in expected}
    assert len(found) == len(by_key)
    for row in found:
        same = by_key[row["branch"], row["comparison"], row["parameter"]]
        for field in ("point", "lower", "upper"):
            value = getattr(same, field)
            if value is None:
                assert row[field] is None
            else:
                assert row[field] == pytest.approx(value, rel=1e-6)


def test_csv_and_parquet_agree(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pc.write_csv(units(), tmp_path / "units.csv")
    question = ("--branch", "branch", "--metric", "searches", "--metric", "gaps")
    for mine, other in zip(
        rows(capsys, tmp_path / "units.csv", *question),
        rows(capsys, file, *question),
        strict=True,
    ):
        assert mine["point"] == pytest.approx(other["point"], rel=1e-9)


def test_several_files_are_one(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = units()
    pq.write_table(whole.slice(0, 1_000), tmp_path / "a.parquet")
    pq.write_table(whole.slice(1_000), tmp_path / "b.parquet")
    question = ("--branch", "branch", "--metric", "clicks=sum")
    assert rows(capsys, tmp_path / "*.parquet", *question) == rows(capsys, file, *question)


def test_fields_are_jetstreams(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (first, *_) = rows(capsys, file, "--branch", "branch", "--metric", "searches")
    assert set(first) >= {
        "metric",
        "statistic",
        "parameter",
        "branch",
        "comparison",
        "comparison_to_branch",
        "ci_width",
        "point",
        "lower",
        "upper",
        "segment",
    }


def test_the_text_is_readable(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(
        capsys, file, "--branch", "branch", "--metric", "searches", "--covariate", "searches=before"
    )
    assert code == 0
    assert "units: 9" in text or "units: 1," in text
    assert "searches (mean_lm)" in text
    assert "between +" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--branch", "brunch", "--metric", "clicks"], 3, 'no column "brunch"; did you mean'),
        (["--branch", "branch", "--metric", "clik"], 3, 'no column "clik"; did you mean "clicks"'),
        (["--branch", "branch", "--metric", "clicks=men"], 2, 'no statistic "men"'),
        (["--branch", "branch", "--metric", "clicks=sum:x=1"], 2, 'no parameter "x"'),
        (["--branch", "branch", "--metric", "clicks="], 2, "a metric is NAME"),
        (["--branch", "branch", "--metric", "clicks", "--control", "contrl"], 3, "did you mean"),
        (["--branch", "branch", "--metric", "clicks", "--covariate", "x=y"], 2, "not among"),
        (["--branch", "branch", "--metric", "clicks", "--covariate", "x"], 2, "METRIC=COL"),
    ],
)
def test_a_wrong_question(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    found, text = said(capsys, file, *arguments)
    assert found == code
    assert message in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("branch,x\ncontrol,1\ntreatment,n/a\n", 'column "x" is not a number: 1 row holds text'),
        ("branch,x\ncontrol,1\ncontrol,2\n", 'all rows are of one branch, "control"'),
        ("branch,x\n", "no rows with a branch"),
        ("branch,x\na,1\nb,2\n", 'give --control one of "a", "b"'),
    ],
)
def test_a_wrong_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    path = tmp_path / "units.csv"
    path.write_text(content)
    code, text = said(capsys, path, "--branch", "branch", "--metric", "x")
    assert code in {2, 3}
    assert message in text


def test_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, tmp_path / "none.csv", "--branch", "b", "--metric", "x")
    assert code == 3
    assert "there is no file" in text
    code, text = said(capsys, tmp_path / "none.xlsx", "--branch", "b", "--metric", "x")
    assert code == 3
