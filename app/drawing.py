"""What a picture of a superstructure needs: layers, what each reads, and at which size of the image it works."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from spec import Graph


class DrawnLayer(BaseModel):
    """A layer that has weights, and where it stands in the network."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    width: int
    searched: bool
    """Whether its neurons may sleep."""
    stride: int
    """Pixels of the input from one pixel of the layer to its next: 2 works at half the image's size."""
    reads: list[str]
    """Whose output comes to it: names of layers, and `input`."""


class Drawing(BaseModel):
    """A superstructure as it is drawn."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["graph"] = "graph"
    id: str
    inputs: int
    """What the first layer reads: channels, features, or all pixels."""
    layers: list[DrawnLayer]


def inputs(graph: Graph) -> int:
    """Entries that the first layer reads."""
    return graph[next(graph.layers()).sources[0]].width


def drawn(graph: Graph) -> list[DrawnLayer]:
    """The layers of a graph, in order."""
    strides = graph.strides()
    return [
        DrawnLayer(
            name=node.name,
            width=node.width,
            searched=node.searched,
            stride=strides[node.name],
            reads=list(dict.fromkeys(source.name for source in graph.read_layers(node))),
        )
        for node in graph.layers()
    ]
