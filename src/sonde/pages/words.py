"""Numbers and days in words, the same on every page."""

from __future__ import annotations

import math
from datetime import date
from functools import lru_cache

from sonde.pages.interval import Interval

MINUS = "\N{MINUS SIGN}"
NBSP = "\N{NO-BREAK SPACE}"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LARGEST = 1000.0  # a relative change beyond it says that something is wrong, not how much
_PLAIN = (1e-6, 1e15)  # numbers within are written out
_TINY = 0.0005  # a limit nearer to zero than this needs a second decimal not to read as zero


@lru_cache(maxsize=4096)  # a row says its limits twice
def percent(fraction: float, digits: int = 1, sign: str = "+") -> str:
    r"""With a true minus, and a space that does not break; beyond 100 000 %, only that.

    >>> percent(0.037), percent(-0.0041), percent(0.5, 0, ""), percent(0.00001)
    ('+3.7\xa0%', '−0.4\xa0%', '50\xa0%', '0.0\xa0%')
    >>> percent(12.5, 0), percent(-1e300)
    ('+1\xa0250\xa0%', 'under −100\xa0000\xa0%')
    """
    if abs(fraction) > _LARGEST:
        beyond = f"under {MINUS}" if fraction < 0 else f"over {sign}"
        return f"{beyond}{count(100 * _LARGEST)}{NBSP}%"
    text = f"{abs(fraction) * 100:,.{digits}f}"
    if not text.strip("0."):
        return f"{text}{NBSP}%"
    return f"{MINUS if fraction < 0 else sign}{text.replace(',', NBSP)}{NBSP}%"


def _digits(change: Interval) -> int:
    nearest = min(abs(change.lower), abs(change.upper))
    return 2 if nearest < _TINY else 1


def span(change: Interval) -> str:
    r"""The limits of a relative change; a second decimal where a limit would read as zero.

    >>> span(Interval(0.037, 0.018, 0.056)), span(Interval(0.01, -0.0003, 0.02))
    ('+1.8\xa0% to +5.6\xa0%', '−0.03\xa0% to +2.00\xa0%')
    """
    digits = _digits(change)
    return f"{percent(change.lower, digits)} to {percent(change.upper, digits)}"


def between(change: Interval) -> str:
    """The limits within a sentence."""
    digits = _digits(change)
    return f"between {percent(change.lower, digits)} and {percent(change.upper, digits)}"


def amount(change: Interval) -> str:
    r"""The limits where a verb says the direction.

    >>> amount(Interval(0.037, 0.018, 0.056)), amount(Interval(-0.02, -0.03, -0.01))
    ('between 1.8\xa0% and 5.6\xa0%', 'between 1.0\xa0% and 3.0\xa0%')
    """
    low, high = sorted((abs(change.lower), abs(change.upper)))
    digits = _digits(change)
    return f"between {percent(low, digits, '')} and {percent(high, digits, '')}"


def count(number: float) -> str:
    r"""A whole number, in groups of three.

    >>> count(1234567), count(999)
    ('1\xa0234\xa0567', '999')
    """
    return f"{number:,.0f}".replace(",", NBSP).replace("-", MINUS)


def number(value: float, digits: int = 3) -> str:
    r"""A value with as many significant digits as it takes to tell it from its neighbours.

    >>> number(0.11834), number(2914.2), number(1.8449), number(0), number(3e-9)
    ('0.118', '2\xa0914', '1.84', '0', '3.00e−09')
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "none"
    if not _PLAIN[0] <= abs(value) < _PLAIN[1]:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 8)}f}".replace(",", NBSP).replace("-", MINUS)


def day(when: date, year: bool = False) -> str:
    r"""A day as it stands in a sentence.

    >>> day(date(2026, 11, 9)), day(date(2026, 11, 9), year=True)
    ('9\xa0Nov', '9\xa0Nov\xa02026')
    """
    text = f"{when.day}{NBSP}{_MONTHS[when.month - 1]}"
    return f"{text}{NBSP}{when.year}" if year else text


def plural(number_of: int, one: str, many: str | None = None) -> str:
    """A count with its noun.

    >>> plural(1, "day"), plural(3, "day"), plural(2, "metric was", "metrics were")
    ('1 day', '3 days', '2 metrics were')
    """
    return f"{count(number_of)} {one if number_of == 1 else many or one + 's'}"


def window(period: str, index: int) -> str:
    """A window as it is called on a page.

    >>> window("overall", 1), window("week", 2), window("days28", 1)
    ('Whole period', 'Week 2', '28 days')
    """
    match period:
        case "overall":
            return "Whole period"
        case "preenrollment_week":
            return "Week before"
        case "preenrollment_days28":
            return "28 days before"
        case "days28":
            return "28 days" if index == 1 else f"28 days, {index}"
        case _:
            return f"{period.capitalize()} {index}"


def listed(names: list[str]) -> str:
    """Names in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
