"""The keys of metric-hub's language, and the kind of value of each."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeAlias

from sonde.config import kinds
from sonde.config.kinds import Kind
from sonde.experiment import EnrollmentsQueryType
from sonde.metric import AnalysisBasis, AnalysisUnit
from sonde.window import Period

Keys: TypeAlias = Mapping[str, Kind]


class Level(enum.StrEnum):
    """How far a metric can be relied on."""

    GOLD = "gold"
    SILVER = "silver"
    BRONZE = "bronze"


class Aggregation(enum.StrEnum):
    """The aggregations that a metric may declare in place of SQL."""

    SUM = "sum"
    COUNT = "count"
    COUNT_WHERE = "count_where"
    ANY = "any"
    RECENCY_WITHIN = "recency_within"


PERIOD_KEYS: Mapping[str, Period] = {period.config_key: period for period in Period}

SECTIONS = (  # the top-level keys of metric-hub's files, other tools' included
    "alerts", "data_sources", "description", "dimensions", "experiment", "friendly_name",
    "functions", "metrics", "parameters", "population", "project", "segments",
)  # fmt: skip

EXPERIMENT: Keys = {
    "enrollment_query": kinds.name,
    "enrollment_period": kinds.whole(0),
    "reference_branch": kinds.name,
    "start_date": kinds.day,
    "end_date": kinds.day,
    "segments": kinds.names,
    "outcomes": kinds.names,
    "skip": kinds.flag,
    "exposure_signal": kinds.table,
    "is_private": kinds.flag,
    "dataset_id": kinds.name,
    "sample_size": kinds.whole(1, 100),
    "analysis_unit": kinds.choice(AnalysisUnit),
    "enrollments_query_type": kinds.choice(EnrollmentsQueryType),
}

EXPOSURE_SIGNAL: Keys = {
    "name": kinds.name,
    "data_source": kinds.name,
    "select_expression": kinds.name,
    "friendly_name": kinds.text,
    "description": kinds.text,
    "window_start": kinds.window_limit,
    "window_end": kinds.window_limit,
}
EXPOSURE_SIGNAL_REQUIRED = (
    "name", "data_source", "select_expression", "friendly_name", "description",
)  # fmt: skip

AGGREGATION: Keys = {
    "aggregation": kinds.choice(Aggregation),
    "column": kinds.name,
    "where": kinds.tables,
    "within_days": kinds.whole(1, 28),
    "threshold": kinds.table,
    "scale": kinds.number,
    "cumulative_window": kinds.whole(1),
    "incremental_window": kinds.whole(1),
    "repeat_windows": kinds.flag,
}

METRIC_TEXT: Keys = {
    "friendly_name": kinds.text,
    "description": kinds.text,
    "bigger_is_better": kinds.flag,
    "category": kinds.text,
    "owner": kinds.name_or_names,
    "deprecated": kinds.flag,
    "level": kinds.choice(Level),
}

METRIC: Keys = {
    **METRIC_TEXT,
    **AGGREGATION,
    "name": kinds.name,
    "select_expression": kinds.name,
    "data_source": kinds.name,
    "analysis_bases": kinds.choices(AnalysisBasis),
    "analysis_units": kinds.choices(AnalysisUnit),
    "type": kinds.text,
    "depends_on": kinds.names,
    "statistics": kinds.table_of_tables,
}

NIMBUS_METRIC: Keys = {
    **METRIC_TEXT,
    **AGGREGATION,
    "data_source": kinds.name,
    "statistics": kinds.table_of_tables,
}

DATA_SOURCE: Keys = {
    "name": kinds.name,
    "from_expression": kinds.name,
    "experiments_column_type": kinds.word("simple", "native", "glean", "events_stream", "none"),
    "client_id_column": kinds.text,
    "group_id_column": kinds.text,
    "glean_client_id_column": kinds.text,
    "legacy_client_id_column": kinds.text,
    "submission_date_column": kinds.text,
    "default_dataset": kinds.text,
    "build_id_column": kinds.text,
    "friendly_name": kinds.text,
    "description": kinds.text,
    "joins": kinds.table_of_tables,
    "columns_as_dimensions": kinds.flag,
    "analysis_units": kinds.choices(AnalysisUnit),
}

SEGMENT: Keys = {
    "name": kinds.name,
    "data_source": kinds.name,
    "select_expression": kinds.name,
    "friendly_name": kinds.text,
    "description": kinds.text,
}
SEGMENT_REQUIRED = ("data_source", "select_expression")

SEGMENT_DATA_SOURCE: Keys = {
    "name": kinds.name,
    "from_expression": kinds.name,
    "window_start": kinds.whole(),
    "window_end": kinds.whole(),
    "client_id_column": kinds.text,
    "group_id_column": kinds.text,
    "glean_client_id_column": kinds.text,
    "legacy_client_id_column": kinds.text,
    "submission_date_column": kinds.text,
    "default_dataset": kinds.text,
}

PARAMETER: Keys = {
    "name": kinds.name,
    "friendly_name": kinds.text,
    "description": kinds.text,
    "value": kinds.text_or_table,
    "default": kinds.text_or_table,
    "distinct_by_branch": kinds.flag,
}

FUNCTION: Keys = {
    "definition": kinds.name,
    "friendly_name": kinds.text,
    "description": kinds.text,
}
