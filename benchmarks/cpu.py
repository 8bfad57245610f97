"""CPU seconds of a process and of all that it started, however they were started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root: int | None = None) -> float:
    """Used so far by a process, by default this one, and by those below it, ended or not.

    Workers are no children of ours: a server of their own starts them, so `getrusage` never hears
    of them. Linux keeps for each process what it used, and what those used that it waited for; the
    sum over all below the root is what was used.
    """
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        pid = int(path.parent.name)
        parents[pid] = int(fields[1])
        ticks[pid] = sum(map(int, fields[11:15]))
    top = os.getpid() if root is None else root
    return sum(used for pid, used in ticks.items() if _is_below(pid, top, parents)) / _TICKS


def _is_below(pid: int, top: int, parents: Mapping[int, int]) -> bool:
    while pid not in (0, top):
        pid = parents.get(pid, 0)
    return pid == top
