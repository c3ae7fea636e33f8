"""The log of a run: one line per event, as text or as JSON."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from masklet.runtime.sources.password import hide_password


class Log:
    """Writes events.

    write:   takes a line without its line break.
    as_json: lines are JSON: {"time": "...Z", "event": "lost", "stream": 1, ...}.
    """

    def __init__(
        self, write: Callable[[str], None], as_json: bool = False, now: Callable[[], datetime] | None = None
    ) -> None:
        self._write, self._as_json = write, as_json
        self._now = now or (lambda: datetime.now(timezone.utc))

    def event(self, what: str, detail: str = "", *, stream: int | None = None, **fields: Any) -> None:
        """Log an event. fields: figures, for JSON only."""
        detail = hide_password(detail)
        if not self._as_json:
            where = "" if stream is None else f" (stream {stream})"
            self._write(f"masklet: {what}{where}{': ' if detail else ''}{detail}")
            return
        line: dict[str, Any] = {"time": self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        line["event"] = what
        if stream is not None:
            line["stream"] = stream
        if detail:
            line["detail"] = detail
        self._write(json.dumps(line | fields))

    def figures(self, what: str, stream: int, **fields: Any) -> None:
        """Log figures, for JSON only; the terminal has the progress bar."""
        if self._as_json:
            self.event(what, stream=stream, **fields)

    def summary(self, line: str, stream: int | None, more: Sequence[str] = (), **fields: Any) -> None:
        """Log how a stream ended. more: lines that follow."""
        if self._as_json:
            self.event("ended", line, stream=stream, **fields, **({"notes": list(more)} if more else {}))
            return
        for one in (line, *more):
            self._write(one if stream is None else f"stream {stream}: {one}")
