"""What may a search become next?

The one table of legal transitions. Every write that changes a state takes its condition from here, and the database
holds the list of states in a CHECK constraint.

    queued ──▶ starting ──▶ running ──▶ succeeded
      ▲            │           │
      └────────────┴───────────┘   moved: its worker was lost, or handed it back

Besides: `pausing` and `cancelling` are wishes of a user that the worker has still to fulfil; `queued` is also what a
paused search becomes when it is resumed, in its next attempt.
"""

from typing import Final, Literal, get_args

State = Literal["queued", "starting", "running", "pausing", "paused", "cancelling", "cancelled", "succeeded", "failed"]

STATES: Final[tuple[State, ...]] = get_args(State)

NEXT: Final[dict[State, frozenset[State]]] = {
    "queued": frozenset({"queued", "starting", "paused", "cancelled", "failed"}),  # queued again: moved
    "starting": frozenset({"queued", "running", "pausing", "cancelling", "failed"}),
    "running": frozenset({"queued", "pausing", "cancelling", "succeeded", "failed"}),
    # The wish to pause may come too late: the search is then simply done.
    "pausing": frozenset({"paused", "cancelling", "succeeded", "failed"}),
    "paused": frozenset({"queued", "cancelled"}),
    "cancelling": frozenset({"cancelled"}),
    "cancelled": frozenset(),
    "succeeded": frozenset(),
    "failed": frozenset(),
}

ACTIVE: Final[frozenset[State]] = frozenset({"starting", "running", "pausing", "cancelling"})
"""A worker has it: it must be heard of, and its attempt may write."""

WISHES: Final[frozenset[State]] = frozenset({"pausing", "cancelling"})
"""A user wants its worker to end it."""

TERMINAL: Final[frozenset[State]] = frozenset(state for state, following in NEXT.items() if not following)
"""Nothing follows."""

AFTER_LOSS: Final[dict[State, State]] = {
    "queued": "queued",
    "starting": "queued",
    "running": "queued",
    "pausing": "paused",
    "cancelling": "cancelled",
}
"""What becomes of a search whose worker is gone: a user's wish is fulfilled, else it is queued again."""


def before(wanted: State) -> frozenset[State]:
    """All states from which `wanted` may be reached in one step."""
    return frozenset(state for state, following in NEXT.items() if wanted in following)


def is_legal(state: State, wanted: State) -> bool:
    """Tell whether a search in `state` may become `wanted`."""
    return wanted in NEXT[state]
