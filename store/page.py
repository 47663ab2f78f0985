"""What is a part of a list?"""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list, and whether more follow."""

    items: list[T]
    has_more: bool
