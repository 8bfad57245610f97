"""How much memory a process held while it did something."""

from __future__ import annotations

import re
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): sets the peak of resident memory back to what is resident now
_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes

_alone = threading.Lock()


@contextmanager
def peak_memory() -> Iterator[Callable[[], int | None]]:
    """Within: a function for the peak of this process's resident memory since, in bytes.

    The system keeps one peak for the life of a process. Linux lets us set it back; elsewhere the
    peak is known only when it rose, and None otherwise. Of several threads that measure at once
    the first does: its peak is the process's, and the others' is None.
    """
    if not _alone.acquire(blocking=False):
        yield lambda: None
        return
    try:
        before = _highest()
        reset = _reset()
        yield lambda: after if (after := _highest()) > before or reset else None
    finally:
        _alone.release()


def _reset() -> bool:
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _highest() -> int:
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())
    except OSError:
        found = None
    if found is not None:
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
