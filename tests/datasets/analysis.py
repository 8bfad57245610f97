"""An analysis of the demo in plain SQL and numpy, which knows nothing of how the demo is made."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np

from sonde.datasets.trials import Trial
from sonde.metric import AnalysisBasis
from sonde.window import Window

SYSTEMS = {"windows": "Windows_NT", "macos": "Darwin", "linux": "Linux"}

_CLIENTS_DAILY = '"telemetry.clients_daily"'
_SEARCHES = '"search.search_clients_engines_sources_daily"'
METRICS = {
    "active_hours": (_CLIENTS_DAILY, "coalesce(sum(active_hours_sum), 0)"),
    "uri_count": (
        _CLIENTS_DAILY,
        "coalesce(sum(scalar_parent_browser_engagement_total_uri_count_sum), 0)",
    ),
    "startup_time": (_CLIENTS_DAILY, "avg(first_paint_mean)"),
    "search_count": (_SEARCHES, "coalesce(sum(sap), 0)"),
    "ad_clicks": (_SEARCHES, "coalesce(sum(ad_click), 0)"),
}


@dataclass(frozen=True)
class Interval:
    """A relative difference of means, with 1.96 standard errors to each side (delta method)."""

    point: float
    error: float

    @property
    def score(self) -> float:
        return self.point / self.error

    def misses(self, value: float) -> bool:
        return abs(self.point - value) > 1.96 * self.error


@dataclass(frozen=True)
class Units:
    """Enrolled units of a trial, in order of their ids; days count from 1970."""

    client_id: np.ndarray
    branch: np.ndarray
    os: np.ndarray
    exposed: np.ndarray


def enroll(connection: duckdb.DuckDBPyConnection, trial: Trial) -> Units:
    """Find the units by their events; they are the table `unit`."""
    first = f"DATE '{trial.record.start_date}'"
    connection.execute(f"""
        CREATE OR REPLACE TABLE unit AS
        SELECT client_id, any_value(os) AS os,
            any_value(event_map_values[1].value) AS branch,
            min(submission_date) FILTER (event_method = 'enroll') AS enrolled,
            min(submission_date) FILTER (event_method = 'expose') AS exposed
        FROM "telemetry.events"
        WHERE event_string_value = '{trial.slug}' AND event_method IN ('enroll', 'expose')
            AND submission_date BETWEEN {first} AND {first} + {trial.counted}
        GROUP BY client_id HAVING enrolled IS NOT NULL ORDER BY client_id""")
    columns = connection.execute("""
        SELECT client_id, branch, os, exposed IS NOT NULL FROM unit ORDER BY client_id
    """).fetchnumpy()
    return Units(*(np.asarray(values) for values in columns.values()))


def measure(
    connection: duckdb.DuckDBPyConnection,
    trial: Trial,
    metric: str,
    window: Window,
    basis: AnalysisBasis,
) -> np.ndarray:
    """A metric of all units, in order; NaN where there is none."""
    source, expression = METRICS[metric]
    anchor = "enrolled" if basis is AnalysisBasis.ENROLLMENTS else "exposed"
    named = "true"
    if source == _CLIENTS_DAILY:
        named = f"""(submission_date > enrolled
            OR len(list_filter(experiments, lambda e: e.key = '{trial.slug}')) > 0)"""
    values = connection.execute(f"""
        SELECT {expression}::DOUBLE AS value
        FROM unit LEFT JOIN {source} AS ds ON ds.client_id = unit.client_id AND {named}
            AND submission_date BETWEEN {anchor} + {window.start} AND {anchor} + {window.last}
        GROUP BY unit.client_id ORDER BY unit.client_id""").fetchnumpy()["value"]
    return np.ma.filled(values, np.nan)


def compare(treatment: np.ndarray, control: np.ndarray) -> Interval:
    """The relative difference of two means of independent units."""
    treatment, control = (values[~np.isnan(values)] for values in (treatment, control))
    base, mean = control.mean(), treatment.mean()
    variance = treatment.var(ddof=1) / len(treatment) / base**2
    variance += mean**2 * control.var(ddof=1) / len(control) / base**4
    return Interval(mean / base - 1, variance**0.5)
