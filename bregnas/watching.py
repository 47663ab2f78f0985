"""What happens to a search, as it happens: a stream that goes on where it broke off, without any I/O."""

import random

from httpx_sse import ServerSentEvent
from pydantic import ValidationError

from bregnas import calls
from bregnas.documents import TERMINAL, Event
from bregnas.errors import APIError, Unreachable
from bregnas.steps import Reply, Request, retry_after

TRIES = 20  # connections in a row that bring nothing; they take some minutes
_LONGEST_S = 15.0


class Watching:
    """One watch over several connections; `cursor` is the last event that was seen."""

    def __init__(self, search_id: str, after: int = 0, dice: random.Random | None = None) -> None:
        self.search_id, self.cursor = search_id, after
        self.over = False
        self._failures = 0
        self._dice = dice or random.Random()

    def request(self) -> Request:
        """The stream of what follows."""
        return calls.events(self.search_id, self.cursor)

    def refused(self, reply: Reply) -> float:
        """What an answer that is no stream means: seconds to wait, or the end. Raises APIError."""
        if reply.status == 204:  # nothing follows
            self.over = True
            return 0.0
        if reply.status in (429, 502, 503, 504):
            return max(self._again(reply.error()), retry_after(reply))
        raise reply.error() if reply.status >= 400 else APIError(reply.status, "no_stream", "no stream came", None)

    def take(self, sent: ServerSentEvent) -> Event | None:
        """The event in what was sent, if it is one that was not seen before."""
        try:
            event = Event.model_validate_json(sent.data) if sent.data else None
        except ValidationError:
            return None  # of a kind that this version does not know
        if event is None or event.id <= self.cursor:
            return None
        self.cursor, self._failures = event.id, 0
        self.over = event.kind in TERMINAL
        return event

    def broke(self, error: Unreachable | None = None) -> float:
        """Seconds to wait where the stream ended before the search did. Raises `error` where that goes on."""
        return self._again(error or Unreachable(self.search_id, "the stream ends again and again"))

    def _again(self, error: Unreachable | APIError) -> float:
        self._failures += 1
        if self._failures >= TRIES:
            raise error
        return min(_LONGEST_S, 0.5 * 2.0 ** min(self._failures - 1, 10)) * self._dice.uniform(0.75, 1.25)
