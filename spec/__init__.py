"""What a search is: types, limits, the graph of groups and closed-form sizes. Imports pydantic alone."""

from spec.base import SpecError
from spec.data import DataShape
from spec.graph import Graph, Node, kept_counts, kept_indices, macs, parameters
from spec.plan import Plan, plan
from spec.refusal import Problem, explain
from spec.search import EXAMPLE, SUPERSTRUCTURES, SearchSpec

__all__ = [
    "EXAMPLE",
    "SUPERSTRUCTURES",
    "DataShape",
    "Graph",
    "Node",
    "Plan",
    "Problem",
    "SearchSpec",
    "SpecError",
    "explain",
    "kept_counts",
    "kept_indices",
    "macs",
    "parameters",
    "plan",
]
