"""What a search is: types, limits, the graph of groups and closed-form sizes. Imports pydantic alone."""

from spec.base import SpecError
from spec.data import DataShape
from spec.graph import Graph, Node, kept_counts, kept_indices, macs, neurons, parameters
from spec.plan import Plan, plan
from spec.refusal import Problem, explain
from spec.search import EXAMPLE, SUPERSTRUCTURES, SearchSpec
from spec.target import SIZES, Measure, Target, possible

__all__ = [
    "EXAMPLE",
    "SIZES",
    "SUPERSTRUCTURES",
    "DataShape",
    "Graph",
    "Measure",
    "Node",
    "Plan",
    "Problem",
    "SearchSpec",
    "SpecError",
    "Target",
    "explain",
    "kept_counts",
    "kept_indices",
    "macs",
    "neurons",
    "parameters",
    "plan",
    "possible",
]
