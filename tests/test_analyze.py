"""One file with one row per unit: the numbers of the statistics, and errors that help."""

from __future__ import annotations

import json
import re
import shlex
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from sonde.cli.readout import _number
from sonde.stats.arrays import estimate
from sonde.stats.needs import Columns
from sonde.stats.registry import statistic
from tests.commands import ended


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
            "day": pa.array([date(2026, 1, 1)] * rows),
        }
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("units") / "units.parquet"
    pq.write_table(units(), path)
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code, and what was printed."""
    return ended("analyze", *arguments), "".join(capsys.readouterr())


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
        ("searches=bootstrap_mean", "bootstrap_mean", {}, Columns("searches")),
        ("searches=empirical_cdf", "empirical_cdf", {}, Columns("searches")),
        (
            "searches=linear_model_mean:drop_highest=0.1,confidence_interval=0.9",
            "linear_model_mean",
            {"drop_highest": 0.1, "confidence_interval": 0.9},
            Columns("searches", "before"),
        ),
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
    found = rows(capsys, file, "--metric", metric, *covariate)
    parts = [value for value in params.values() if isinstance(value, str)]
    used = {columns.value, columns.covariate, *parts} - {None}
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
                assert row[field] == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_csv_and_parquet_agree(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pc.write_csv(units(), tmp_path / "units.csv")
    question = ("--metric", "searches", "--metric", "gaps", "--metric", "clicked")
    for mine, other in zip(
        rows(capsys, tmp_path / "units.csv", *question), rows(capsys, file, *question), strict=True
    ):
        assert mine["statistic"] == other["statistic"]
        assert mine["point"] == pytest.approx(other["point"], rel=1e-9)


def test_several_files_are_one(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = units()
    pq.write_table(whole.slice(0, 1_000), tmp_path / "a.parquet")
    pq.write_table(whole.slice(1_000), tmp_path / "b.parquet")
    question = ("--metric", "clicks=sum")
    assert rows(capsys, tmp_path / "*.parquet", *question) == rows(capsys, file, *question)


FIELDS = [
    "metric",
    "statistic",
    "segment",
    "parameter",
    "branch",
    "comparison",
    "comparison_to_branch",
    "ci_width",
    "point",
    "lower",
    "upper",
    "reason",
    "detail",
]


def test_fields_are_jetstreams(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, file, "--metric", "searches", "--control", "other")
    assert all(list(row) == FIELDS for row in found)
    assert {row["segment"] for row in found} == {"all"}
    assert {row["comparison_to_branch"] for row in found} == {None, "other"}
    code, text = said(capsys, file, "--metric", "searches", "--control", "other", "--format", "csv")
    assert code == 0
    assert text.splitlines()[0] == ",".join(FIELDS)
    assert len(text.splitlines()) == len(found) + 1


def test_a_number_that_cannot_be_had_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "units.csv"
    path.write_text("branch,x\n" + "control,0\n" * 9 + "treatment,5\ntreatment,6\n" * 4)
    found = rows(capsys, path, "--metric", "x")
    compared = [row for row in found if row["comparison"] is not None]
    assert [(row["point"], row["reason"]) for row in compared] == [(None, "baseline_is_zero")] * 2
    _, text = said(capsys, path, "--metric", "x")
    assert "no number for treatment: there are only zeros in the reference" in text


def test_the_text_is_readable(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(
        capsys,
        *(file, "--metric", "searches", "--covariate", "searches=before", "--metric", "gaps"),
        *("--metric", "clicked", "--metric", "searches=deciles", "--metric", "searches=sum"),
        *("--metric", "searches=kernel_density_estimate"),
    )
    assert code == 0
    lines = text.splitlines()
    assert lines[0] == "3,000 units: control 973, other 1,034, treatment 993"
    assert "searches (mean_lm, adjusted by before)" in lines
    assert "a curve of 768 points; --format csv prints them" in text
    relative = r"[+-]\d\.\d %, between [+-]\d\.\d % and [+-]\d\.\d %"
    assert re.search(rf"^  treatment .* {relative}$", text, re.MULTILINE)
    share = r"^  control  +973  \d\d\.\d %  \d\d\.\d % to \d\d\.\d %$"
    assert re.search(share, text, re.MULTILINE)
    gaps = next(line for line in lines[lines.index("gaps (mean_lm)") :] if " control " in line)
    present = int(gaps.split()[1])
    assert 0 < present < 973
    assert max(map(len, lines)) <= 100
    assert "significant" not in text


def test_digits_follow_the_interval() -> None:
    show = _number([0.5, 0.031], "+")
    assert [show(value) for value in (0.12345, -0.0001, 0.0, 1234.5)] == [
        "+0.123",
        "+0.000",
        "0",
        "+1,234.500",
    ]
    assert _number([], "")(1234567.25) == "1.23457e+06"
    assert _number([4e5], "")(1234567.25) == "1,234,567"


@pytest.mark.parametrize("size", [500, 120_000])
def test_nan_is_missing_as_null_is(
    size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In short and in long files, for statistics that leave nulls out and for those that refuse.

    DuckDB takes the statistics of pyarrow's files to say that there is no NaN.
    """
    rng = np.random.default_rng(size)
    values, covariate = rng.normal(5, 1, (2, size))
    metrics = {"smooth": np.sort(values), "steps": values.round(1), "yes": (values > 5) * 1.0}
    gone = np.arange(size) % 97 == 3
    gone[size // 9 :] = False  # only where the sorted column is low
    columns = {"branch": rng.choice(["control", "b"], size), "before": covariate}
    nan = {name: np.where(gone, np.nan, each) for name, each in metrics.items()}
    null = {name: pa.array(each, mask=gone) for name, each in metrics.items()}
    pq.write_table(pa.table({**columns, **nan}), tmp_path / "nan.parquet", row_group_size=20_000)
    pq.write_table(pa.table({**columns, **null}), tmp_path / "null.parquet")
    question: list[str] = []
    for metric in metrics:
        for asked in ("=linear_model_mean", "=bootstrap_mean", "=deciles", "=count", "=sum"):
            question += ["--metric", metric + asked]
    for arguments in (question[:2], [*question, "--covariate", "steps=before"]):
        found = rows(capsys, tmp_path / "nan.parquet", *arguments)
        expected = rows(capsys, tmp_path / "null.parquet", *arguments)
        for row, same in zip(found, expected, strict=True):
            assert row["reason"] == same["reason"]
            if same["point"] is None:
                assert row["point"] is None
            else:
                assert row["point"] == pytest.approx(same["point"], rel=1e-9)


def test_missing_values_of_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "units.csv"
    path.write_text("branch,x\ncontrol,1.5\ncontrol,NA\ncontrol,\nb,2\nb,NaN\nb,null\nb,3\n,9\n")
    found = rows(capsys, path, "--metric", "x=count", "--metric", "x=sum")
    by_key = {(row["statistic"], row["branch"]): row["point"] for row in found}
    assert by_key == {
        ("count", "control"): 1,
        ("count", "b"): 2,
        ("sum", "control"): 1.5,
        ("sum", "b"): 5,
    }
    _, text = said(capsys, path, "--metric", "x=sum")
    assert text.startswith("7 units: control 3, b 4\n1 row without a branch left out\n")


def test_types_of_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever holds numbers is read as numbers."""
    size = 200
    values = np.arange(size) % 7
    kinds = {
        "int8": pa.array(values, pa.int8()),
        "uint64": pa.array(values, pa.uint64()),
        "float": pa.array(values, pa.float32()),
        "decimal": pa.array(values).cast(pa.decimal128(22, 3)),
        "text": pa.array(values.astype(str)),
    }
    branch = pa.array(np.where(np.arange(size) % 2, 1, 0), pa.int32())
    pq.write_table(pa.table({"branch": branch, **kinds}), tmp_path / "units.parquet")
    metrics = [part for kind in kinds for part in ("--metric", f"{kind}=sum")]
    found = rows(capsys, tmp_path / "units.parquet", "--control", "0", *metrics)
    sums = {"0": int(values[::2].sum()), "1": int(values[1::2].sum())}
    assert [(row["branch"], row["point"]) for row in found] == [*sums.items()] * len(kinds)


def test_a_type_that_only_later_rows_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """More rows than are looked at to tell a CSV's types."""
    path = tmp_path / "units.csv"
    path.write_text("branch,x\n" + "control,1\nb,2\n" * 15_000 + "control,1.5\n")
    (control, *_) = rows(capsys, path, "--metric", "x=sum")
    assert control["point"] == 15_001.5
    path.write_text("branch,x\n" + "control,1\nb,2\n" * 15_000 + "control,many\n")
    code, text = said(capsys, path, "--metric", "x=sum")
    assert code == 3
    assert 'column "x" is not a number: 1 row holds text, the first is row 30,001' in text


def test_the_example_of_the_guide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "analyze.md").read_text()
    program, command, output = re.findall(r"^```\w*\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "analyze.md", "exec"), {})
    name, _, *arguments = shlex.split(command)
    assert name == "sonde"
    code, text = said(capsys, *arguments)
    assert code == 0
    assert text == output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--branch", "brunch", "--metric", "clicks"], 3, 'no column "brunch"; did you mean'),
        (["--metric", "clik"], 3, 'no column "clik"; did you mean "clicks"'),
        (["--metric", "clicks", "--covariate", "clicks=befor"], 3, 'did you mean "before"'),
        (["--metric", "r=population_ratio:numerator=clicks"], 2, 'the parameter "denominator"'),
        (
            ["--metric", "r=population_ratio:numerator=clicks,denominator=befor"],
            3,
            'did you mean "before"',
        ),
        (["--branch", "searches", "--metric", "clicks"], 3, "more than 100 values"),
        (["--metric", "branch"], 3, 'column "branch" is not a number: 3,000 rows hold text'),
        (["--metric", "day"], 3, 'column "day" is of type DATE'),
        (["--metric", "clicks=men"], 2, 'no statistic "men"'),
        (["--metric", "clicks=sum:x=1"], 2, 'no parameter "x"'),
        (["--metric", "clicks="], 2, "a metric is NAME"),
        (["--metric", "=sum"], 2, "a metric is NAME"),
        (["--metric", "clicks=sum:"], 2, "a metric is NAME"),
        (["--metric", "clicks=deciles:num_samples"], 2, "parameters are param=value"),
        (["--metric", "clicks=deciles:num_samples=many"], 2, "must be a whole number"),
        (["--metric", "clicks", "--metric", "clicks"], 2, "mean_lm is asked for twice"),
        (["--metric", "clicks", "--control", "contrl"], 3, 'did you mean "control"'),
        (["--metric", "clicks", "--covariate", "x=y"], 2, 'no metric is called "x"'),
        (["--metric", "clicks", "--covariate", "x"], 2, "METRIC=COL"),
        (["--metric", "clicks", "--covariate", "clicks=clicks"], 2, "cannot adjust itself"),
        (["--metric", "clicks=sum", "--covariate", "clicks=before"], 2, "sum cannot be adjusted"),
        (
            ["--metric", "clicks=linear_model_mean:covariate_adjustment=before"],
            2,
            "write --covariate clicks=COLUMN",
        ),
        ([], 2, "--metric"),
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
    ("content", "code", "message"),
    [
        (
            "branch,x\ncontrol,1\nb,n/a\nb,n/a\n",
            3,
            'column "x" is not a number: 2 rows hold text, the first is row 2 with "n/a"',
        ),
        ("branch,x\ncontrol,1\ncontrol,2\n", 3, 'all rows are of one branch, "control"'),
        ("branch,x\n,1\n,2\n", 3, "no row has a branch"),
        ("branch,x\n", 3, "units.csv has no rows"),
        ("", 3, "units.csv is empty"),
        ("branch,x\na,1\nb,2\n", 2, 'give --control one of "a", "b"'),
    ],
)
def test_a_wrong_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, code: int, message: str
) -> None:
    path = tmp_path / "units.csv"
    path.write_text(content)
    found, text = said(capsys, path, "--metric", "x", "--format", "json")
    assert found == code
    assert message in text
    assert "[" not in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.csv", "there is no file"),
        ("none/*.csv", "no file has such a name"),
        ("units.xlsx", "expected .csv or .parquet files"),
        ("broken.parquet", "broken.parquet"),
        (".", "there is no file"),
    ],
)
def test_no_such_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    (tmp_path / "units.xlsx").write_text("1")
    (tmp_path / "broken.parquet").write_text("PAR1 of another kind")
    code, text = said(capsys, tmp_path / name, "--metric", "x")
    assert code == 3
    assert message in text


def test_nothing_stays_behind(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pc.write_csv(units(), tmp_path / "units.csv")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert rows(capsys, tmp_path / "units.csv", "--metric", "searches")
    assert list((tmp_path / "temporary").iterdir()) == []
