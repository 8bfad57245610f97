"""What failed, for the person who can act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sonde.pages import words
from sonde.pages.material import Material

_MOST = 20


@dataclass(frozen=True)
class ShownError:
    """What failed, for the person who can act."""

    what: str
    where: str
    why: str
    todo: str
    since: str
    sql: str | None


def lead(material: Material) -> str:
    """How many there are."""
    number = count(material)
    if not number:
        return "None."
    more = f" The first {_MOST} are shown." if number > _MOST else ""
    return f"{words.plural(number, 'message')}. What did not depend on it is above.{more}"


def count(material: Material) -> int:
    """Different messages."""
    return len(_grouped(material.errors))


def shown_errors(material: Material) -> list[ShownError]:
    """Those that a page has room for, errors before warnings."""
    return [_shown(rows, material) for rows in _grouped(material.errors)[:_MOST]]


def _grouped(errors: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The same message of several windows is one error; errors before warnings."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in errors:
        key = (row["log_level"], row["metric"], row["statistic"], row["segment"], row["message"])
        groups.setdefault(key, []).append(row)
    return sorted(groups.values(), key=lambda rows: rows[0]["log_level"] != "ERROR")


def _shown(rows: Sequence[Mapping[str, Any]], material: Material) -> ShownError:
    row = rows[0]
    parts = [material.metric_title(row["metric"])] if row["metric"] else []
    parts += [row["statistic"]] if row["statistic"] else []
    parts += [f"segment {row['segment']}"] if row["segment"] else []
    is_error = row["log_level"] == "ERROR"
    what = ", ".join(parts) or "Enrollments or a whole source"
    verb = "was not computed" if is_error else "deserves a look"
    where = sorted({_place(each) for each in rows if each["analysis_period"]})
    more = f" and {len(where) - 3} more" if len(where) > 3 else ""
    source = f"source {row['data_source']}; " if row["data_source"] else ""
    times = sorted(each["timestamp"] for each in rows)
    return ShownError(
        what=f"{what} {verb}.",
        where=f"{source}{'; '.join(where[:3])}{more}" or "the enrollment step",
        why=row["message"],
        todo=(
            "Mend the declaration or the table that the message names; the next run tries again, "
            "and the message goes with the first good result."
        ),
        since=f"{times[0]:%Y-%m-%d %H:%M} UTC" if times else "",
        sql=row["sql"],
    )


def _place(row: Mapping[str, Any]) -> str:
    window = words.window(row["analysis_period"], row["window_index"]).lower()
    return f"{row['analysis_basis']}, {window}"
