"""Do an enrollment step: find units, branches, exposures and segments, and keep them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sonde.errors import ConfigError, DataError
from sonde.metric import Segment
from sonde.plan.steps import Enroll
from sonde.run.outcome import Problem
from sonde.sql import query
from sonde.sql.enrollments import NO_EXPOSURES, enrollments_query
from sonde.sql.text import identifier, quoted
from sonde.warehouse.duckdb import Session
from sonde.warehouse.sources import Sources


@dataclass(frozen=True)
class Enrolled:
    """rows: units times branches. problems: what to tell, and what was left out."""

    rows: int
    problems: tuple[Problem, ...] = ()


def enroll(action: Enroll, session: Session, sources: Sources, path: Path) -> Enrolled:
    """Write the units of an experiment to the Parquet file `path`.

    Columns: as of `enrollments_query`, and in_several_branches. Raises DataError when the
    enrollments themselves cannot be found; a segment or the exposures that fail are reported
    and left empty.
    """

    def make(text: str) -> None:
        read = query(text)
        for name in read.tables:
            session.attach(sources.find(name))
        session.execute(f"CREATE OR REPLACE TEMP TABLE found AS\n{read.sql}")

    finder = Finder(action, make)
    finder.find()
    session.execute(
        f"COPY (\n{_finished(finder.segments, finder.lost)}\n) TO {quoted(str(path))} "
        "(FORMAT parquet, COMPRESSION zstd)"
    )
    rows = session.rows("SELECT count(*) FROM found")[0][0]
    return Enrolled(int(rows), (*finder.problems, *_warnings(session)))


class Finder:
    """Finds as much as can be found. make: tries a query; the last one that it does is `query`.

    segments: those found. lost: those that cannot be. problems: why.
    """

    def __init__(self, action: Enroll, make: Callable[[str], None]) -> None:
        self.action = action
        self.make = make
        self.query = ""
        self.problems: list[Problem] = []
        self.segments: tuple[Segment, ...] = action.experiment.segments
        self.lost: tuple[Segment, ...] = ()

    def find(self) -> None:
        """Raises DataError when there are no enrollments at all."""
        try:
            self._try(self.segments, None)
        except (ConfigError, DataError):
            self._find_parts()

    def _find_parts(self) -> None:
        exposures = None
        try:
            self._try((), None)
        except (ConfigError, DataError) as error:
            self._try((), NO_EXPOSURES)  # raises when there are no enrollments at all
            exposures = NO_EXPOSURES
            self.problems.append(
                replace(Problem.of(error), message=f"exposures cannot be found: {error}")
            )
        kept: list[Segment] = []
        for segment in self.segments:
            try:
                self._try((segment,), exposures)
                kept.append(segment)
            except (ConfigError, DataError) as error:
                self.problems.append(Problem.of(error, segment=segment.name))
        self.lost = tuple(s for s in self.segments if s not in kept)
        self.segments = tuple(kept)
        self._try(self.segments, exposures)

    def _try(self, segments: tuple[Segment, ...], exposures: str | None) -> None:
        experiment = replace(self.action.experiment, segments=segments)
        self.query = enrollments_query(experiment, self.action.dates, exposures)
        self.make(self.query)


def _finished(segments: tuple[Segment, ...], lost: tuple[Segment, ...]) -> str:
    """Typed, one row per unit and branch even if a custom query gives more, in a fixed order."""
    found = [f"bool_or({identifier(s.name)}) AS {identifier(s.name)}" for s in segments]
    found += [f"CAST(NULL AS BOOLEAN) AS {identifier(s.name)}" for s in lost]
    columns = "".join(f"  {column},\n" for column in found)
    return f"""SELECT *, count(*) OVER (PARTITION BY analysis_id) > 1 AS in_several_branches
FROM (
SELECT
  CAST(analysis_id AS VARCHAR) AS analysis_id,
  CAST(branch AS VARCHAR) AS branch,
  CAST(min(enrollment_date) AS DATE) AS enrollment_date,
  CAST(sum(num_enrollment_events) AS BIGINT) AS num_enrollment_events,
{columns}  CAST(min(exposure_date) AS DATE) AS exposure_date,
  CAST(max(num_exposure_events) AS BIGINT) AS num_exposure_events
FROM found
WHERE analysis_id IS NOT NULL AND branch IS NOT NULL AND enrollment_date IS NOT NULL
GROUP BY 1, 2
)
ORDER BY enrollment_date, analysis_id, branch"""


def _warnings(session: Session) -> list[Problem]:
    number, nameless = session.rows(
        """SELECT
  (SELECT count(*) FROM (
    SELECT analysis_id FROM found WHERE analysis_id IS NOT NULL AND branch IS NOT NULL
    GROUP BY 1 HAVING count(DISTINCT branch) > 1)),
  (SELECT count(*) FROM found WHERE analysis_id IS NULL OR branch IS NULL)"""
    )[0]
    warnings = several(number)
    if nameless:
        warnings.append(
            Problem(f"{nameless} enrollments without an id or a branch are left out", "WARNING")
        )
    return warnings


def several(number: int) -> list[Problem]:
    """What is to be said of units in several branches."""
    if not number:
        return []
    units = "unit is" if number == 1 else "units are"
    return [
        Problem(
            f"{number} {units} enrolled in several branches and left out of the results; "
            "find out why units change branch",
            "WARNING",
        )
    ]
