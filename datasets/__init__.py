"""Reads and checks data; what leaves this package can be trained on.

numpy and the standard library alone: never torch, and no package that merely brings data.
"""

from datasets.catalogue import Listed, describe, listing, load, names
from datasets.dataset import Dataset, Description
from datasets.errors import DataError, DataInvalid, DataSetMissing, DataSetUnknown

__all__ = [
    "DataError",
    "DataInvalid",
    "DataSetMissing",
    "DataSetUnknown",
    "Dataset",
    "Description",
    "Listed",
    "describe",
    "listing",
    "load",
    "names",
]
