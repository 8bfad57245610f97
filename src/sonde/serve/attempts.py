"""How often something may be tried."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

_KEYS = 10_000


@dataclass(frozen=True)
class Attempts:
    """At most `most` attempts of each key within `seconds`.

    >>> attempts = Attempts(2, 60)
    >>> [attempts.take("a", now) for now in (0, 1, 2, 60.5)]
    [True, True, False, True]
    """

    most: int
    seconds: float
    _times: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    def take(self, key: str, now: float) -> bool:
        """Whether one more attempt is left; it is used up."""
        times = self._times.setdefault(key, deque())
        self._times.move_to_end(key)
        while len(self._times) > _KEYS:
            self._times.popitem(last=False)
        while times and times[0] <= now - self.seconds:
            times.popleft()
        if len(times) >= self.most:
            return False
        times.append(now)
        return True

    def forgive(self, key: str) -> None:
        """Forget the last attempt: it was a right one."""
        if times := self._times.get(key):
            times.pop()
