"""How much of a stretch of time is covered by intervals, which may touch or overlap."""

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


class Coverage:
    """The union of intervals `[start, end)`, ms, each array of shape (m,)."""

    def __init__(self, start: IntArray, end: IntArray) -> None:
        order = np.argsort(start, kind="stable")
        begin, reach = start[order], np.maximum.accumulate(end[order]) if len(end) else end
        begin = np.maximum(begin, np.r_[begin[:1], reach[:-1]])
        new = np.maximum(reach - begin, 0)
        self.begin, self.end = begin, begin + new
        self._times = np.stack([self.begin, self.end], axis=1).reshape(-1)
        self._upto = np.stack([np.cumsum(new) - new, np.cumsum(new)], axis=1).reshape(-1)

    def within(self, start: IntArray, end: IntArray) -> IntArray:
        """Return how many ms of each of the stretches are covered."""
        if not len(self._times):
            return np.zeros(len(start), dtype=np.int64)
        return np.rint(self._at(end) - self._at(start)).astype(np.int64)

    def holes(self) -> tuple[IntArray, IntArray]:
        """Return start and end, ms, of what lies between the intervals."""
        kept = self.end > self.begin
        begin, end = self.begin[kept], self.end[kept]
        open_ = begin[1:] > end[:-1]
        return end[:-1][open_], begin[1:][open_]

    def _at(self, times: IntArray) -> npt.NDArray[np.float64]:
        return np.asarray(np.interp(times, self._times, self._upto), dtype=np.float64)
