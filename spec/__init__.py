"""What a search is: types, limits, the graph of groups and closed-form sizes. Imports pydantic alone."""

from spec.base import SpecError
from spec.data import DataShape, Pairs, Sizes
from spec.graph import Graph, Node, kept_counts, kept_indices, macs, neurons, parameters
from spec.images import Crops, crops
from spec.plan import Plan, plan
from spec.refusal import Problem, explain
from spec.search import EXAMPLE, SUPERSTRUCTURES, SearchSpec
from spec.target import SIZES, Measure, Target, possible

__all__ = [
    "EXAMPLE",
    "SIZES",
    "SUPERSTRUCTURES",
    "Crops",
    "DataShape",
    "Graph",
    "Measure",
    "Node",
    "Pairs",
    "Plan",
    "Problem",
    "SearchSpec",
    "Sizes",
    "SpecError",
    "Target",
    "crops",
    "explain",
    "kept_counts",
    "kept_indices",
    "macs",
    "neurons",
    "parameters",
    "plan",
    "possible",
]
