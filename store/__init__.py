"""What lasts: tables, queries, artifacts, the queue.

`searches` is for the API, `attempts` for workers, `moves` for whoever notices that a worker is gone; `database` gives
the connections that they take. Nothing here imports torch or a web framework, and `dbos` and `alembic` are imported
only by who needs them.
"""
