"""How a trainer ends before its time: in words for the user, or because it was asked to."""

from spec import SearchSpec


class SearchFailed(Exception):
    """The search cannot succeed: a code for programs, and words that say what the user can change."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Stopped(Exception):
    """The trainer was asked to stop, and has written a checkpoint."""


def died(layer: str, spec: SearchSpec) -> SearchFailed:
    """A layer fell asleep entirely: nothing can pass any more."""
    return SearchFailed(
        "layer_died",
        f"no neuron of {layer} is active any more, so nothing passes through the network; "
        f"make method.lam smaller (it is {spec.method.start_lam:g}), or method.lr",
    )
