"""What can be wrong with a call, the database itself being well?"""

from store.states import ACTIVE, State


class NotFound(Exception):
    """There is no such thing, or no longer."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no {name}")
        self.name = name


class IllegalTransition(Exception):
    """A search in this state cannot become that."""

    def __init__(self, state: State, wanted: State | str) -> None:
        super().__init__(f"a search that is {state} cannot become {wanted}")
        self.state = state
        self.wanted = wanted


class AttemptLost(Exception):
    """This attempt is no longer the search's: moved to another worker, ended, or deleted.

    Nothing was written. The worker ends its trainer and forgets the search; whoever has it now needs no help.
    """

    def __init__(self, search_id: str, attempt: int, state: State | None, current: int | None) -> None:
        now = "deleted" if state is None else f"{state} in attempt {current}"
        super().__init__(f"attempt {attempt} of {search_id} is lost: the search is {now}")
        self.search_id = search_id
        self.attempt = attempt
        self.state = state
        self.current = current

    @property
    def has_worker(self) -> bool:
        """Whether the search is this attempt's all the same, and only its state forbade the write: a user's wish."""
        return self.state in ACTIVE and self.current == self.attempt
