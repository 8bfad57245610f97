"""Experiments as the experimentation platform publishes them."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from sonde.config import kinds
from sonde.config.kinds import Kind, Taken
from sonde.errors import BackendError, ConfigError, Place
from sonde.experiment import Branch, ExperimentRecord

_ATTEMPTS = 3
_LONGEST_PAUSE = 180  # seconds
_TIMEOUT = 60  # seconds


class Experiments(NamedTuple):
    """The records that could be read, and what is wrong with each of the others."""

    records: tuple[ExperimentRecord, ...]
    errors: tuple[ConfigError, ...]


def load_experiments(
    source: str | Path, sleep: Callable[[float], None] = time.sleep
) -> Experiments:
    """Experiments from a JSON file or an http(s) address: a list, or a single one.

    An address is asked three times, with a pause of 1 s and of 10 s, before a BackendError.
    """
    if str(source).startswith(("http://", "https://")):
        answer = _fetched(str(source), sleep)
    else:
        answer = _from_file(Path(source))
    return parse_records(answer if isinstance(answer, list) else [answer], str(source))


def parse_records(written: Iterable[Any], source: str = "experiments") -> Experiments:
    """Experiments of any form of the platform's API. A bad one is left out and reported."""
    records, errors = [], []
    for index, each in enumerate(written):
        slug = each.get("slug") if isinstance(each, dict) else None
        try:
            records.append(parse_record(each))
        except ConfigError as error:
            key = error.place.key if error.place else None
            where = ".".join(filter(None, (slug or f"[{index}]", key)))
            errors.append(ConfigError(error.message, Place(source, None, where)))
    return Experiments(tuple(records), tuple(errors))


def parse_record(written: Any) -> ExperimentRecord:
    """One experiment, in the form of the API's version 6 or 8, or of its version 1.

    >>> parse_record({"slug": "a", "startDate": "2026-01-05", "branches": []}).start_date
    datetime.date(2026, 1, 5)
    """
    if not isinstance(written, Mapping):
        raise ConfigError("expected an experiment: an object with a slug")
    if "slug" not in written and isinstance(written.get("detail"), str):
        raise ConfigError(f"the platform says: {written['detail']}")
    record = _Fields(written)
    return _first_version(record) if "variants" in written else _nimbus(record)


def _nimbus(record: _Fields) -> ExperimentRecord:
    bucket = _Fields(record.get("bucketConfig", kinds.table, {}), "bucketConfig")
    return ExperimentRecord(
        slug=record.needed("slug", kinds.name),
        branches=_branches(record, "branches"),
        reference_branch=record.get("referenceBranch", kinds.text),
        start_date=record.get("startDate", _day),
        end_date=record.get("endDate", _day),
        enrollment_end_date=record.get("enrollmentEndDate", _day),
        proposed_enrollment=record.get("proposedEnrollment", kinds.whole()),
        proposed_duration=record.get("proposedDuration", kinds.whole()),
        app_name=record.get_or_null("appName", kinds.text, "firefox_desktop"),
        app_id=record.get_or_null("appId", kinds.text, "firefox-desktop"),
        outcomes=record.get("outcomes", _slugs, ()),
        primary_outcomes=record.get("outcomes", _primary, ()),
        segments=record.get("segments", _slugs, ()),
        randomization_unit=bucket.get("randomizationUnit", kinds.name, "normandy_id"),
        bucket_namespace=bucket.get("namespace", kinds.text),
        bucket_start=bucket.get("start", kinds.whole()),
        bucket_count=bucket.get("count", kinds.whole()),
        bucket_total=bucket.get("total", kinds.whole(), 10_000),
        is_enrollment_paused=record.get("isEnrollmentPaused", kinds.flag),
        is_rollout=record.get("isRollout", kinds.flag, False),
        do_rerun=record.get("doRerun", kinds.flag, False),
        do_rerun_timestamp=record.get("doRerunTimestamp", _moment),
        name=record.get("userFacingName", kinds.text),
        description=record.get("userFacingDescription", kinds.text),
    )


def _first_version(record: _Fields) -> ExperimentRecord:
    """An experiment of the API's first version: times are milliseconds, branches `variants`."""
    variants = record.get("variants", kinds.tables, [])
    control = [variant.get("slug") for variant in variants if variant.get("is_control") is True]
    return ExperimentRecord(
        slug=record.needed("normandy_slug", kinds.name),
        branches=_branches(record, "variants"),
        reference_branch=control[0] if control else None,
        start_date=record.get("start_date", _milliseconds),
        end_date=record.get("end_date", _milliseconds),
        proposed_enrollment=record.get("proposed_enrollment", kinds.whole()),
        type=record.get("type", kinds.name, "pref"),
        is_high_population=record.get("is_high_population", kinds.flag, False),
        name=record.get("name", kinds.text),
        description=record.get("public_description", kinds.text),
    )


class _Fields:
    """The fields of a JSON object; a wrong one is a ConfigError that names it."""

    def __init__(self, written: Mapping[str, Any], within: str | None = None) -> None:
        self._written = written
        self._within = within

    def get(self, key: str, kind: Kind, default: Any = None) -> Any:
        """A value; absent and null are the default."""
        written = self._written.get(key)
        return default if written is None else self._taken(key, kind, written)

    def get_or_null(self, key: str, kind: Kind, default: Any) -> Any:
        """A value; only absent is the default."""
        return self.get(key, kind) if key in self._written else default

    def needed(self, key: str, kind: Kind) -> Any:
        """A value that must be there."""
        value = self.get(key, kind)
        if value is None:
            raise ConfigError(f'"{key}" is missing', self._place(key))
        return value

    def _taken(self, key: str, kind: Kind, written: Any) -> Any:
        try:
            return kind(written).value
        except ValueError as error:
            raise ConfigError(str(error), self._place(key)) from error

    def _place(self, key: str) -> Place:
        return Place("", None, f"{self._within}.{key}" if self._within else key)


def _branches(record: _Fields, key: str) -> tuple[Branch, ...]:
    found = []
    for index, written in enumerate(record.get(key, kinds.tables, [])):
        branch = _Fields(written, f"{key}[{index}]")
        found.append(
            Branch(branch.needed("slug", kinds.name), branch.get("ratio", kinds.whole(0), 1))
        )
    return tuple(found)


def _primary(written: Any) -> Taken:
    """The slugs of the outcomes that an experiment is first of all about."""
    taken = _slugs(written)
    first = {
        o.get("slug") for o in written if isinstance(o, Mapping) if o.get("priority") == "primary"
    }
    return Taken(tuple(slug for slug in taken.value if slug in first))


def _slugs(written: Any) -> Taken:
    """A list of slugs, or of objects with a slug."""
    if isinstance(written, list):
        slugs = [item.get("slug") if isinstance(item, dict) else item for item in written]
        if all(isinstance(slug, str) for slug in slugs):
            return Taken(tuple(slugs))
    raise ValueError("expected a list of objects with a slug")


def _day(written: Any) -> Taken:
    """A day, or the day in UTC of a moment."""
    if isinstance(written, str) and "T" in written:
        return Taken(_moment(written).value.astimezone(UTC).date())
    return kinds.day(written)


def _moment(written: Any) -> Taken:
    """A moment; without a time zone, in UTC."""
    try:
        moment = datetime.fromisoformat(written)
    except (TypeError, ValueError):
        raise ValueError(f"{written!r} is not a time; expected YYYY-MM-DDTHH:MM:SSZ") from None
    return Taken(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _milliseconds(written: Any) -> Taken:
    """A day, from milliseconds since 1970."""
    milliseconds = kinds.number(written).value
    try:
        day: date = datetime.fromtimestamp(milliseconds / 1000, UTC).date()
    except (OverflowError, OSError, ValueError):
        raise ValueError(f"{written} milliseconds are no date") from None
    return Taken(day)


def _from_file(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", Place(str(path))) from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"not valid JSON: {error.msg}", Place(str(path), error.lineno)) from error
    except UnicodeDecodeError as error:
        raise ConfigError("not UTF-8 text", Place(str(path))) from error


def _fetched(url: str, sleep: Callable[[float], None]) -> Any:
    """The JSON at an address; parsing is part of an attempt, as a cut-off answer does not parse."""
    problem = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            sleep(min(10 ** (attempt - 1), _LONGEST_PAUSE))
        try:
            return json.loads(_body(url))
        except (OSError, HTTPException, ValueError) as error:
            problem = str(error)
    raise BackendError(f"{url}: {problem} (asked {_ATTEMPTS} times)")


def _body(url: str) -> bytes:
    """The answer; what a server says of an unknown experiment (404) is an answer, too."""
    request = urllib.request.Request(url, headers={"user-agent": "sonde"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:
                return bytes(error.read())
            raise
