"""A size that is asked for, and what sizes a superstructure can have."""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from spec.base import Strict
from spec.graph import Graph, macs, neurons, parameters

Measure = Literal["parameters", "macs", "neurons"]
Size = Callable[[Graph, Mapping[str, int] | None], int]

SIZES: dict[Measure, Size] = {"parameters": parameters, "macs": macs, "neurons": neurons}
"""How large a network of a graph is when so many groups of its searched layers are left."""

Count = Annotated[int, Field(ge=1, le=2**53)]


class Target(Strict):
    """The size of the network to be found: exactly one of these. It is never exceeded."""

    parameters: Count | None = None
    """Trainable parameters, weights and biases."""
    macs: Count | None = None
    """Multiply-accumulate operations of one sample's forward pass."""
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    """Of the superstructure's parameters."""
    neurons: Count | None = None
    """Neurons of the searched layers together."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = self.model_dump(exclude_none=True)
        if len(given) != 1:
            names = ", ".join(type(self).model_fields)
            said = f"{len(given)} are given ({', '.join(given)})" if given else "none is given"
            raise ValueError(f"a target is exactly one of {names}; {said}")
        return self

    @property
    def field(self) -> str:
        """The name of the field that is given."""
        return next(iter(self.model_dump(exclude_none=True)))

    @property
    def measure(self) -> Measure:
        """What is counted."""
        if self.macs is not None:
            return "macs"
        return "neurons" if self.neurons is not None else "parameters"

    def limit(self, graph: Graph) -> int:
        """The largest size allowed, in units of `measure`, for the superstructure `graph`."""
        if self.fraction is not None:
            return int(self.fraction * parameters(graph))
        value = self.parameters or self.macs or self.neurons
        assert value is not None
        return value

    def size(self, graph: Graph, active: Mapping[str, int] | None = None) -> int:
        """The size of `graph` with `active` groups left, in units of `measure`."""
        return SIZES[self.measure](graph, active)


def possible(graph: Graph) -> dict[Measure, tuple[int, int]]:
    """The smallest and the largest size by every measure: one group left in each searched layer, and all of them."""
    least = {node.name: 1 for node in graph.searched()}
    return {measure: (size(graph, least), size(graph, None)) for measure, size in SIZES.items()}
