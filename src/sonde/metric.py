"""What is measured: data sources, metrics, segments, and the statistics asked of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Param: TypeAlias = "str | int | float | bool | tuple[Param, ...] | Mapping[str, Param] | None"


class AnalysisUnit(enum.StrEnum):
    """What is randomised and counted. The value is the column that holds its id."""

    CLIENT = "client_id"
    PROFILE_GROUP = "profile_group_id"


class AnalysisBasis(enum.StrEnum):
    """Which units count: all enrolled ones, or those that met the change."""

    ENROLLMENTS = "enrollments"
    EXPOSURES = "exposures"


class ExperimentsColumn(enum.StrEnum):
    """How a row of a source says which experiments its unit was in when it was written."""

    SIMPLE = "simple"  # map `experiments`: slug -> branch
    NATIVE = "native"  # map `experiments`: slug -> struct with `branch`
    GLEAN = "glean"  # map `ping_info.experiments`: slug -> struct with `branch`
    EVENTS_STREAM = "events_stream"  # JSON `event_extra`: `experiment`, `branch`
    NONE = "none"  # rows do not say


@dataclass(frozen=True)
class DataSource:
    """Rows that metrics aggregate: a table, or a parenthesised query, in BigQuery SQL.

    from_expression: templates are rendered; `{dataset}` is still open (see `default_dataset`).
    client_id_column, group_id_column: expressions over the source's rows.
    """

    name: str
    from_expression: str
    client_id_column: str = "client_id"
    group_id_column: str = "profile_group_id"
    submission_date_column: str = "submission_date"
    experiments_column: ExperimentsColumn = ExperimentsColumn.SIMPLE
    default_dataset: str | None = None
    analysis_units: tuple[AnalysisUnit, ...] = (AnalysisUnit.CLIENT,)
    friendly_name: str | None = None
    description: str | None = None

    def unit_column(self, unit: AnalysisUnit) -> str:
        """The expression that holds the id of `unit`."""
        return self.client_id_column if unit is AnalysisUnit.CLIENT else self.group_id_column


@dataclass(frozen=True)
class PreTreatment:
    """A change of the values before a statistic sees them, by name and arguments."""

    name: str
    args: Mapping[str, Param] = field(default_factory=dict)


@dataclass(frozen=True)
class StatisticDeclaration:
    """A statistic asked of a metric: name, parameters as written, pre-treatments in order."""

    name: str
    params: Mapping[str, Param] = field(default_factory=dict)
    pre_treatments: tuple[PreTreatment, ...] = ()


@dataclass(frozen=True)
class Metric:
    """One number per unit and window.

    select_expression: an aggregate over the unit's rows, in BigQuery SQL, templates rendered.
    A metric with `depends_on` and no `select_expression` has no column of its own: its
    statistics read the columns of the metrics it depends on.
    """

    name: str
    data_source: DataSource | None = None
    select_expression: str | None = None
    statistics: tuple[StatisticDeclaration, ...] = ()
    depends_on: tuple[Metric, ...] = ()
    analysis_bases: tuple[AnalysisBasis, ...] = (
        AnalysisBasis.ENROLLMENTS,
        AnalysisBasis.EXPOSURES,
    )
    analysis_units: tuple[AnalysisUnit, ...] = (AnalysisUnit.CLIENT,)
    bigger_is_better: bool = True
    friendly_name: str | None = None
    description: str | None = None
    type: str = "scalar"
    category: str | None = None
    owner: tuple[str, ...] = ()
    deprecated: bool = False
    level: str | None = None


@dataclass(frozen=True)
class SegmentDataSource:
    """Rows that segments aggregate, within [window_start, window_end] days of enrollment."""

    name: str
    from_expression: str
    window_start: int = 0
    window_end: int = 0
    client_id_column: str = "client_id"
    group_id_column: str = "profile_group_id"
    submission_date_column: str = "submission_date"
    default_dataset: str | None = None

    def unit_column(self, unit: AnalysisUnit) -> str:
        """The expression that holds the id of `unit`."""
        return self.client_id_column if unit is AnalysisUnit.CLIENT else self.group_id_column


@dataclass(frozen=True)
class Segment:
    """A yes-or-no property of a unit about the time of its enrollment, as an aggregate."""

    name: str
    data_source: SegmentDataSource
    select_expression: str
    friendly_name: str | None = None
    description: str | None = None


class WindowLimit(enum.StrEnum):
    """A named end of an exposure signal's window."""

    ENROLLMENT_START = "enrollment_start"
    ENROLLMENT_END = "enrollment_end"
    ANALYSIS_WINDOW_START = "analysis_window_start"
    ANALYSIS_WINDOW_END = "analysis_window_end"


@dataclass(frozen=True)
class ExposureSignal:
    """Rows that count as an exposure: those of `data_source` for which `select_expression` holds.

    window_start, window_end: days since the first enrollment date, or a named limit.
    """

    name: str
    data_source: DataSource
    select_expression: str
    friendly_name: str
    description: str
    window_start: int | WindowLimit | None = None
    window_end: int | WindowLimit | None = None
