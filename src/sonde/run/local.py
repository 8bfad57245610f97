"""Worker processes on this machine."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sonde.run.execute import Setting
from sonde.run.runner import Answer, Do, Pool, Resources, Task, engine_memory, wrong
from sonde.run.workers import Here, Workers

_TOLERANCE = 1.25  # of a worker's share: the engine keeps its limit only nearly, Python has none


class Local:
    """As many processes as there are workers; one, whose memory nobody limits, is this one."""

    def __init__(self, resources: Resources) -> None:
        if resources.scheduler is not None:
            raise wrong("scheduler", 'means something with runner = "dask"; write that, too')
        self._resources = resources

    def open(self, do: Do[Task, Answer], setting: Setting) -> Pool[Task, Answer]:
        """A pool of this machine's processes."""
        share, processes = self._resources.megabytes_of_each, self._resources.processes
        with_setting = partial(do, setting=replace(setting, memory=engine_memory(share)))
        is_limited = self._resources.memory is not None
        if processes == 1 and not is_limited:
            return Here(with_setting)
        most = int(share * _TOLERANCE) if is_limited else None
        return Workers(processes, with_setting, [do.__module__], most)
