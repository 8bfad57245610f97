"""Worker processes on this machine."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sonde.run.execute import Setting
from sonde.run.runner import Answer, Do, Pool, Resources, Task, engine_memory, wrong
from sonde.run.workers import Here, Workers


class Local:
    """As many processes as there are workers; one worker is this process itself."""

    def __init__(self, resources: Resources) -> None:
        if resources.scheduler is not None:
            raise wrong("scheduler", 'means something with runner = "dask"; write that, too')
        self._resources = resources

    def open(self, do: Do[Task, Answer], setting: Setting) -> Pool[Task, Answer]:
        """A pool of this machine's processes."""
        own = replace(setting, memory=engine_memory(self._resources.megabytes_of_each))
        with_setting = partial(do, setting=own)
        if self._resources.processes == 1:
            return Here(with_setting)
        return Workers(self._resources.processes, with_setting, [do.__module__])
