"""What a plan or a run says, for people and for programs."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sonde.account import Account, readable
from sonde.kept import Kept
from sonde.plan.checks import NotAnalysable
from sonde.project import Work
from sonde.publish import Published
from sonde.run.bigquery.cost import Cost
from sonde.run.execute import Done, Failed, Report, Skipped
from sonde.run.outcome import Problem


class RunSummary:
    """Collects a run's reports."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._reports: list[Report] = []
        self._unpublished: list[Published] = []
        self._started = time.monotonic()

    def add(self, report: Report) -> None:
        """One more."""
        self._reports.append(report)

    def add_unpublished(self, failed: Published) -> None:
        """An experiment whose pages could not be made."""
        self._unpublished.append(failed)

    @property
    def exit_code(self) -> int:
        """0: all went well. 3: a step failed, or lost a part. 2: a configuration is at fault."""
        if (
            self._unpublished
            or any(isinstance(r, Failed) for r in self._reports)
            or any(p.level == "ERROR" for _, p in self._problems())
        ):
            return 3
        return 2 if any(left.is_fault for left in self._work.left_out) else 0

    def _problems(self) -> list[tuple[Report, Problem]]:
        found: list[tuple[Report, Problem]] = []
        for report in self._reports:
            match report:
                case Done(problems=problems):
                    found += [(report, problem) for problem in problems]
                case Failed(problem=problem):
                    found.append((report, problem))
                case Skipped():
                    pass
        return found

    def text(self) -> str:
        """For people: one line an experiment, then what is wrong, each once."""
        lines = []
        by_slug: dict[str, Counter[str]] = {}
        for report in self._reports:
            by_slug.setdefault(report.step.slug, Counter())[type(report).__name__] += 1
        for slug, counts in by_slug.items():
            parts = [f"{counts['Done']} steps done"]
            parts += [f"{counts['Failed']} failed"] if counts["Failed"] else []
            parts += [f"{counts['Skipped']} skipped"] if counts["Skipped"] else []
            lines.append(f"{slug}: {', '.join(parts)}")
        lines += _problem_lines(self._problems())
        lines += [
            f"error: {each.slug}: the {each.what} are as they were: {each.problem.message}"
            for each in self._unpublished
            if each.problem is not None
        ]
        lines += [f"warning: {warning}" for warning in self._work.warnings]
        lines += kept_lines(self._work.kept)
        lines += _left_out_lines(self._work.left_out)
        seconds = time.monotonic() - self._started
        if not self._reports:
            lines.append(f"nothing to do as of {self._work.plan.as_of}")
        else:
            lines.append(f"{len(self._reports)} steps in {seconds:.1f} s")
        return "\n".join(lines)

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return {
            "as_of": self._work.plan.as_of.isoformat(),
            "steps": [_report_plain(report) for report in self._reports],
            "left_out": [_left_out_plain(each) for each in self._work.left_out],
            "unpublished": [
                {"experiment": each.slug, "problem": _problem_plain(each.problem)}
                for each in self._unpublished
                if each.problem is not None
            ],
            "warnings": list(self._work.warnings),
            "kept": _kept_plain(self._work.kept),
        }


def _report_plain(report: Report) -> dict[str, Any]:
    about: dict[str, Any] = {
        "experiment": report.step.slug,
        "step": str(report.step),
        "state": type(report).__name__.lower(),
    }
    match report:
        case Done(rows=rows, seconds=seconds, problems=problems):
            about |= {"rows": rows, "seconds": round(seconds, 4)}
            about |= {"peak_memory": report.peak, "bytes_read": report.read}
            about["problems"] = [_problem_plain(problem) for problem in problems]
        case Failed(problem=problem):
            about["problems"] = [_problem_plain(problem)]
        case Skipped(because=because):
            about["because"] = str(because)
    return about


def _problem_plain(problem: Problem) -> dict[str, Any]:
    named = {
        "level": problem.level,
        "message": problem.message,
        "metric": problem.metric,
        "statistic": problem.statistic,
        "segment": problem.segment,
        "sql": problem.sql,
    }
    return {key: value for key, value in named.items() if value is not None}


def _left_out_plain(each: NotAnalysable) -> dict[str, Any]:
    return {"experiment": each.slug, "reason": each.reason.value, "message": each.message}


def _problem_lines(problems: Iterable[tuple[Report, Problem]]) -> list[str]:
    counted: Counter[tuple[str, str, str, str]] = Counter()
    for report, problem in problems:
        about = problem.metric or (f"segment {problem.segment}" if problem.segment else "")
        message = problem.message.split("\n")[0]
        counted[problem.level.lower(), report.step.slug, about, message] += 1
    lines = []
    for (level, slug, about, message), times in counted.items():
        often = f" ({times} steps)" if times > 1 else ""
        lines.append(f"{level}: {slug}{': ' + about if about else ''}: {message}{often}")
    return lines


def _left_out_lines(left_out: Iterable[NotAnalysable]) -> list[str]:
    return [f"{'error' if each.is_fault else 'left out'}: {each}" for each in left_out]


def kept_lines(kept: Iterable[Kept]) -> list[str]:
    """Who moves to the newest configuration, and what has changed that others do without."""
    lines = []
    for each in kept:
        if each.pin is None:
            continue
        if each.has_moved:
            lines.append(f"moved: {each.slug}: to {_short(each.read_at)} ({each.pin.because})")
        if each.newer:
            lines.append(
                f"kept: {each.slug}: has {_short(each.read_at)}, since {each.pin.since}; not "
                f"applied: {'; '.join(each.newer)} (to apply it, `sonde run --experiment "
                f"{each.slug} --newest`)"
            )
    return lines


def _short(read_at: str) -> str:
    """Commits as people write them."""
    return re.sub(r"@([0-9a-f]{10})[0-9a-f]+", r"@\1", read_at)


def _kept_plain(kept: Iterable[Kept]) -> list[dict[str, Any]]:
    """Of every experiment that keeps its configuration."""
    return [
        {
            "experiment": each.slug,
            "configuration": each.read_at,
            "since": each.pin.since.isoformat(),
            "because": each.pin.because.value,
            "has_moved": each.has_moved,
            "not_applied": list(each.newer),
        }
        for each in kept
        if each.pin is not None
    ]


def plan_text(work: Work) -> str:
    """The stale steps by experiment and source, and the experiments left out."""
    grouped: dict[tuple[str, str], int] = {}
    for step in work.stale:
        source = step.output.key[-1] if step.output.key else "enrollments"
        grouped[step.slug, source] = grouped.get((step.slug, source), 0) + 1
    lines = [
        f"{slug}: {source}: {count} step{'s' if count > 1 else ''}"
        for (slug, source), count in grouped.items()
    ]
    lines += [f"remove: {partition}" for partition in work.obsolete]
    lines += [f"warning: {warning}" for warning in work.warnings]
    lines += kept_lines(work.kept)
    lines += _left_out_lines(work.left_out)
    done = len(work.plan.steps) - len(work.stale)
    lines.append(f"{len(work.stale)} steps to do as of {work.plan.as_of}, {done} done")
    return "\n".join(lines)


def cost_text(costs: Sequence[Cost], account: Account) -> str:
    """What each table would read, and all of them."""
    size = sum(each.size for each in costs)
    lines = [f"{c.slug}: {c.table}: {_priced(c.size, account)}" for c in costs]
    return "\n".join([*lines, f"in all {_priced(size, account)}"])


def _priced(size: int, account: Account) -> str:
    return f"{readable(size)} for {account.price(size):.2f}"


def cost_plain(costs: Sequence[Cost], account: Account) -> dict[str, Any]:
    """For programs."""
    size = sum(each.size for each in costs)
    tables = [{"experiment": c.slug, "table": c.table, "bytes": c.size} for c in costs]
    return {"tables": tables, "bytes": size, "price": account.price(size)}


def plan_plain(work: Work) -> dict[str, Any]:
    """For programs."""
    return {
        "as_of": work.plan.as_of.isoformat(),
        "steps": [
            {"experiment": s.slug, "step": str(s), "fingerprint": s.fingerprint} for s in work.stale
        ],
        "done": len(work.plan.steps) - len(work.stale),
        "remove": [str(partition) for partition in work.obsolete],
        "left_out": [_left_out_plain(each) for each in work.left_out],
        "warnings": list(work.warnings),
        "kept": _kept_plain(work.kept),
    }
