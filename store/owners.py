"""Whose search is it?

What a user does names a tenant, and the tenant is part of the condition in the database: another's search is not
found, exactly as one that does not exist. None means any tenant; it is for the worker, which belongs to nobody. `app`
never says it: tests/app/test_app_tenants.py reads its code.
"""

from sqlalchemy import ColumnElement, Connection, select

from store.errors import NotFound
from store.tables import searches


def owned(search_id: str, tenant: str | None) -> ColumnElement[bool]:
    """The condition for one search of a tenant."""
    c = searches.c
    return c.id == search_id if tenant is None else (c.id == search_id) & (c.tenant == tenant)


def number(tx: Connection, search_id: str, tenant: str | None) -> int:
    """The number of a search of a tenant; raises `NotFound`."""
    found: int | None = tx.scalar(select(searches.c.number).where(owned(search_id, tenant)))
    if found is None:
        raise NotFound(search_id)
    return found
