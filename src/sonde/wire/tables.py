"""Names of tables and views in BigQuery, as those who read Jetstream's datasets look for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sonde.wire.names import normalized

if TYPE_CHECKING:
    from sonde.metric import AnalysisBasis
    from sonde.window import Period


def enrollments_name(slug: str) -> str:
    """Of the table of units.

    >>> enrollments_name("a-b")
    'enrollments_a_b'
    """
    return f"enrollments_{normalized(slug)}"


def metrics_name(
    slug: str, basis: AnalysisBasis, source: str, period: Period, index: int, *, partial: bool
) -> str:
    """Of the table of units' metrics in a window. Jetstream knows no partial windows: its readers
    shall not take one for a whole.

    >>> from sonde.metric import AnalysisBasis
    >>> from sonde.window import Period
    >>> metrics_name("a-b", AnalysisBasis.EXPOSURES, "main", Period.WEEK, 1, partial=False)
    'a_b_exposures_main_week_1'
    """
    name = f"{normalized(slug)}_{basis.value}_{normalized(source)}_{period.value}_{index}"
    return f"partial_{name}" if partial else name


def metrics_view_name(slug: str, basis: AnalysisBasis, period: Period) -> str:
    """Of the view of all sources and windows of a period.

    >>> from sonde.metric import AnalysisBasis
    >>> from sonde.window import Period
    >>> metrics_view_name("a-b", AnalysisBasis.EXPOSURES, Period.WEEK)
    'a_b_exposures_weekly'
    """
    return f"{normalized(slug)}_{basis.value}_{period.suffix}"


def statistics_name(slug: str, period: Period, index: int) -> str:
    """Of the table of a window's results.

    >>> from sonde.window import Period
    >>> statistics_name("a-b", Period.DAY, 3)
    'statistics_a_b_day_3'
    """
    return f"statistics_{normalized(slug)}_{period.value}_{index}"


def statistics_view_name(slug: str, period: Period) -> str:
    """Of the view of all windows' results.

    >>> from sonde.window import Period
    >>> statistics_view_name("a-b", Period.DAY)
    'statistics_a_b_daily'
    """
    return f"statistics_{normalized(slug)}_{period.suffix}"
