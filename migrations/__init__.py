"""Alembic's revisions of the tables in `store.tables`; run by `store.database.migrate`."""
