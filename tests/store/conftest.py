"""Searches in a real database, as the API accepts and shows them."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from store import database, searches
from store.layers import Layer
from store.searches import Search

LAYERS = [Layer("hidden 1", 8), Layer("hidden 2", 4), Layer("output", 8, searched=False)]


@pytest.fixture
def post(engine: Engine) -> Callable[..., Search]:
    """Accept a search, as the API does."""

    def post(**values: Any) -> Search:
        given = {
            "name": None,
            "spec": {"task": {"kind": "denoise"}},
            "metadata": {},
            "layers": LAYERS,
            "queue": "cpu",
            "superstructure": "mlp",
            "task": "denoise",
            "data": "digits",
            "seed": 1,
            **values,
        }
        with database.write(engine) as tx:
            return searches.create(tx, **given)

    return post


@pytest.fixture
def look(engine: Engine) -> Callable[[str], Search]:
    """Poll a search."""

    def look(search_id: str) -> Search:
        with database.read(engine) as tx:
            return searches.get(tx, search_id)

    return look
