"""Dates and times. An instant is a TIMESTAMP in UTC; the session's zone must be UTC."""

from __future__ import annotations

import re

from sqlglot import exp

from sonde.sql.duck import Rule, arguments, call, calls, cast, number, text
from sonde.sql.syntax import Refusal

_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_DAYS = {"DAY": 1, "WEEK": 7}
_TIMES = {
    "HOUR": "to_hours",
    "MINUTE": "to_minutes",
    "SECOND": "to_seconds",
    "MILLISECOND": "to_milliseconds",
    "MICROSECOND": "to_microseconds",
}
_WEEKDAYS = ("SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY")
_PARTS = {
    "YEAR": "year",
    "QUARTER": "quarter",
    "MONTH": "month",
    "DAY": "day",
    "DAYOFYEAR": "dayofyear",
    "HOUR": "hour",
    "MINUTE": "minute",
    "SECOND": "second",
    "ISOWEEK": "week",
    "ISOYEAR": "isoyear",
}
_CODES = re.compile(r"%(-?[YmdHMSyjbBaApIfuwUWVG%])|%(.)")


def _unit(node: exp.Expr) -> tuple[str, int]:
    """The unit's name, and for WEEK the weekday it begins with (0: Sunday)."""
    unit = node.args.get("unit")
    if isinstance(unit, exp.WeekStart):
        return "WEEK", _WEEKDAYS.index(unit.this.name.upper())
    if unit is None:
        raise Refusal(node, "the unit is missing")
    name = unit.name.upper()
    return ("WEEK", 1) if name == "ISOWEEK" else (name, 0)


def _as_date(node: exp.Expr) -> exp.Expr:
    return cast(node, "DATE")


def _as_timestamp(node: exp.Expr) -> exp.Expr:
    return call("sonde_timestamp", node)


def _amount(node: exp.Expr) -> exp.Expr:
    amount: exp.Expr = node.this if isinstance(node, exp.Interval) else node.expression
    if isinstance(amount, exp.Literal) and re.fullmatch(r"-?\d+", amount.name):
        return exp.Literal.number(amount.name)
    if isinstance(amount, exp.Literal | exp.Interval):
        raise Refusal(node, "an interval is a whole number of one unit")
    return amount


def _times(amount: exp.Expr, factor: int, kind: str) -> exp.Expr:
    whole = cast(amount, kind)
    return whole if factor == 1 else exp.Mul(this=whole, expression=number(factor))


def _span(amount: exp.Expr, unit: str, node: exp.Expr) -> exp.Expr:
    """An INTERVAL of DuckDB."""
    if unit in _MONTHS:
        return call("to_months", _times(amount, _MONTHS[unit], "INTEGER"))
    if unit in _DAYS:
        return call("to_days", _times(amount, _DAYS[unit], "INTEGER"))
    if unit in _TIMES:
        return call(_TIMES[unit], _times(amount, 1, "BIGINT"))
    raise Refusal(node, f"the unit {unit} is not supported")


def _interval(node: exp.Expr) -> exp.Expr:
    unit = node.args.get("unit")
    if not isinstance(unit, exp.Var):
        raise Refusal(node, "an interval is a whole number of one unit")
    return _span(_amount(node), unit.name.upper(), node)


def _shift_date(node: exp.Expr) -> exp.Expr:
    """DATE_ADD and DATE_SUB: a DATE again, where DuckDB gives a TIMESTAMP."""
    unit, _ = _unit(node)
    day = call("sonde_day", node.this)
    operator = exp.Sub if isinstance(node, exp.DateSub) else exp.Add
    if unit in _DAYS:
        days = _times(_amount(node), _DAYS[unit], "INTEGER")
        return exp.Paren(this=operator(this=day, expression=days))
    if unit not in _MONTHS:
        raise Refusal(node, f"a DATE has no {unit}; use TIMESTAMP_ADD or DATETIME_ADD")
    return _as_date(operator(this=day, expression=_span(_amount(node), unit, node)))


def _shift_timestamp(node: exp.Expr) -> exp.Expr:
    unit, _ = _unit(node)
    operator = exp.Sub if isinstance(node, exp.TimestampSub | exp.DatetimeSub) else exp.Add
    span = _span(_amount(node), unit, node)
    return exp.Paren(this=operator(this=_as_timestamp(node.this), expression=span))


def _monday(day: exp.Expr, weekday: int) -> exp.Expr:
    """The Monday that stands for the week of `day` when weeks begin on `weekday`.

    DuckDB's weeks begin on Monday: the day is moved until they agree.
    """
    shift = (1 - weekday) % 7
    moved = exp.Add(this=day, expression=number(shift)) if shift else day
    return _as_date(call("date_trunc", text("week"), moved))


def _difference(node: exp.Expr) -> exp.Expr:
    """Boundaries crossed between two dates, or two DATETIMEs for the units of a day."""
    unit, weekday = _unit(node)
    if unit in _TIMES:
        ends = [_as_timestamp(node.expression), _as_timestamp(node.this)]
        return call("date_diff", text(unit.lower()), *ends)
    ends = [_as_date(node.expression), _as_date(node.this)]
    if unit == "WEEK":
        mondays = [_monday(end, weekday) for end in ends]
        return call("divide", call("date_diff", text("day"), *mondays), number(7))
    if unit not in {"DAY", "ISOYEAR"} | _MONTHS.keys():
        raise Refusal(node, f"the unit {unit} is not supported")
    return call("date_diff", text(unit.lower()), *ends)


def _elapsed(node: exp.Expr) -> exp.Expr:
    """TIMESTAMP_DIFF: whole units elapsed, not boundaries."""
    unit, _ = _unit(node)
    if unit not in _TIMES and unit != "DAY":
        raise Refusal(node, f"TIMESTAMP_DIFF has no {unit}; use DATE_DIFF")
    ends = [_as_timestamp(node.expression), _as_timestamp(node.this)]
    return call("date_sub", text(unit.lower()), *ends)


def _truncate_date(node: exp.Expr) -> exp.Expr:
    unit, weekday = _unit(node)
    if unit in _TIMES:
        return call("date_trunc", text(unit.lower()), _as_timestamp(node.this))
    day = _as_date(node.this)
    if unit == "DAY":
        return day
    if unit == "WEEK":
        monday = _monday(day, weekday)
        back = number((1 - weekday) % 7)
        return exp.Paren(this=exp.Sub(this=monday, expression=back)) if weekday != 1 else monday
    if unit not in _MONTHS:
        raise Refusal(node, f"the unit {unit} is not supported")
    return _as_date(call("date_trunc", text(unit.lower()), day))


def _truncate_timestamp(node: exp.Expr) -> exp.Expr:
    _only_utc(node)
    truncated = _truncate_date(node)
    return truncated if _unit(node)[0] in _TIMES else cast(truncated, "TIMESTAMP")


def _only_utc(node: exp.Expr) -> None:
    zone = node.args.get("zone")
    if zone is not None and zone.name not in {"UTC", "Etc/UTC", "+00", "+00:00"}:
        raise Refusal(
            node, f"the zone {zone.name} is not supported here; convert with DATETIME(ts, zone)"
        )


def _extract(node: exp.Expr) -> exp.Expr:
    part, value = node.this, node.expression
    name = part.name.upper()
    if isinstance(part, exp.WeekStart):
        return call("sonde_week", _as_date(value), number(_WEEKDAYS.index(part.this.name.upper())))
    if name in _PARTS:
        return call("date_part", text(_PARTS[name]), value)
    match name:
        case "WEEK":
            return call("sonde_week", _as_date(value), number(0))
        case "DAYOFWEEK":
            return exp.Paren(
                this=exp.Add(this=call("date_part", text("dow"), value), expression=number(1))
            )
        case "MILLISECOND" | "MICROSECOND":
            modulus = 1000 if name == "MILLISECOND" else 1_000_000
            return call("mod", call("date_part", text(name.lower()), value), number(modulus))
        case "DATE" | "TIME":
            return cast(value, name)
        case _:
            raise Refusal(node, f"EXTRACT({name} ..) is not supported")


def _at_time_zone(node: exp.Expr) -> exp.Expr:
    return call("sonde_at_zone", *arguments(node, "this", "zone"))


def _date(node: exp.Expr) -> exp.Expr:
    value, *zone = arguments(node, "this", "zone")
    return _as_date(call("sonde_at_zone", value, *zone) if zone else value)


def _timestamp(node: exp.Expr) -> exp.Expr:
    value, *zone = arguments(node, "this", "zone")
    return call("sonde_from_zone", value, *zone) if zone else _as_timestamp(value)


def _datetime(node: exp.Expr) -> exp.Expr:
    value, *zone = arguments(node, "this", "expression")
    return call("sonde_at_zone", value, *zone) if zone else _as_timestamp(value)


def _from_unix(node: exp.Expr) -> exp.Expr:
    scale = node.args.get("scale")
    factor = 10 ** (6 - int(scale.name if scale is not None else 0))
    return call("make_timestamp", _times(node.this, factor, "BIGINT"))


def _last_day(node: exp.Expr) -> exp.Expr:
    if node.args.get("unit") is not None and _unit(node)[0] != "MONTH":
        raise Refusal(node, "LAST_DAY is supported of MONTH only")
    return call("last_day", _as_date(node.this))


def _checked_format(node: exp.Expr) -> exp.Expr:
    pattern = node.args["format"]
    if not isinstance(pattern, exp.Literal):
        raise Refusal(node, "the format must be a literal")
    for match in _CODES.finditer(pattern.name):
        if match[2]:
            raise Refusal(node, f"the format element %{match[2]} is not supported")
    return text(pattern.name)


def _format(node: exp.Expr) -> exp.Expr:
    value, pattern = node.this, _checked_format(node)
    if (zone := node.args.get("zone")) is not None:
        value = call("sonde_at_zone", value, zone)
    return call("strftime", value, pattern)


def _parse(node: exp.Expr) -> exp.Expr:
    pattern = _checked_format(node)
    if not re.search("%[YyG]", pattern.name):
        raise Refusal(node, "the format has no year")
    _only_utc(node)
    parsed = call("strptime", node.this, pattern)
    return _as_date(parsed) if isinstance(node, exp.StrToDate) else parsed


def _now(node: exp.Expr) -> exp.Expr:
    raise Refusal(node, "the time of the run is not a fact about the data; use CURRENT_DATE()")


def _unix_date(node: exp.Expr) -> exp.Expr:
    epoch = _as_date(text("1970-01-01"))
    return call("date_diff", text("day"), epoch, _as_date(node.this))


def _from_unix_date(node: exp.Expr) -> exp.Expr:
    epoch = _as_date(text("1970-01-01"))
    return exp.Paren(this=exp.Add(this=epoch, expression=cast(node.this, "INTEGER")))


def _date_array(node: exp.Expr) -> exp.Expr:
    step = node.args.get("step") or call("to_days", number(1))
    ends = [cast(_as_date(node.args[key]), "TIMESTAMP") for key in ("start", "end")]
    return cast(call("generate_series", *ends, step), "DATE[]")


RULES: dict[type[exp.Expr], Rule] = {
    exp.Interval: _interval,
    exp.DateAdd: _shift_date,
    exp.DateSub: _shift_date,
    exp.TimestampAdd: _shift_timestamp,
    exp.TimestampSub: _shift_timestamp,
    exp.DatetimeAdd: _shift_timestamp,
    exp.DatetimeSub: _shift_timestamp,
    exp.DateDiff: _difference,
    exp.DatetimeDiff: _difference,
    exp.TimestampDiff: _elapsed,
    exp.DateTrunc: _truncate_date,
    exp.DatetimeTrunc: _truncate_timestamp,
    exp.TimestampTrunc: _truncate_timestamp,
    exp.Extract: _extract,
    exp.AtTimeZone: _at_time_zone,
    exp.Date: _date,
    exp.DateFromParts: calls("make_date", "year", "month", "day"),
    exp.Timestamp: _timestamp,
    exp.Datetime: _datetime,
    exp.TsOrDsToDate: lambda node: _as_date(node.this),
    exp.TsOrDsToTime: lambda node: cast(node.this, "TIME"),
    exp.TsOrDsToTimestamp: lambda node: _as_timestamp(node.this),
    exp.TsOrDsToDatetime: lambda node: _as_timestamp(node.this),
    exp.TimestampFromParts: calls("make_timestamp", "year", "month", "day", "hour", "min", "sec"),
    exp.UnixSeconds: lambda node: cast(call("floor", call("epoch", node.this)), "BIGINT"),
    exp.UnixMillis: calls("epoch_ms", "this"),
    exp.UnixMicros: calls("epoch_us", "this"),
    exp.UnixDate: _unix_date,
    exp.DateFromUnixDate: _from_unix_date,
    exp.UnixToTime: _from_unix,
    exp.LastDay: _last_day,
    exp.TimeToStr: _format,
    exp.StrToDate: _parse,
    exp.StrToTime: _parse,
    exp.ParseDatetime: _parse,
    exp.GenerateDateArray: _date_array,
    exp.CurrentDate: lambda _: call("sonde_current_date"),
    exp.CurrentTimestamp: _now,
    exp.CurrentDatetime: _now,
    exp.CurrentTime: _now,
    exp.WeekStart: lambda node: node,
}
