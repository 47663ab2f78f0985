"""The operator's verbs for keys: `bregnas keys make`, `list`, `revoke`.

They write the database themselves, so whoever may read its URL may make keys; no route of the service does. As in
`app.commands`, what a verb needs is imported when it runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

keys = typer.Typer(help="Make, list and revoke the keys of this service.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(help="What you will know the key by.")]
_Tenant = Annotated[
    str | None,
    typer.Option(help="Whose things it opens: keys of one tenant share everything. Without it: a tenant of its own."),
]


@keys.command()
def make(name: _Name, tenant: _Tenant = None) -> None:
    """Make a key and print it, once: only its hash is kept."""
    from store import keys as store

    with _write() as tx:
        made, secret = store.make(tx, tenant, name)
    typer.echo(f"{made.id} for the tenant {made.tenant}; keep it, it is not shown again:", err=True)
    typer.echo(secret)


@keys.command("list")
def list_keys() -> None:
    """List all keys, oldest first."""
    from store import keys as store

    with _write() as tx:
        found = store.all_keys(tx)
    for key in found:
        revoked = f"revoked {_day(key.revoked_at)}" if key.revoked_at else "valid"
        typer.echo(f"{key.id}  {key.tenant}  made {_day(key.created_at)}  {revoked}  {key.name}")
    if not found:
        typer.echo("there are no keys; make one with: bregnas keys make NAME", err=True)


@keys.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `bregnas keys list` shows.")]) -> None:
    """Let a key in no more, from the next request on; what was made with it stays."""
    from store import keys as store

    with _write() as tx:
        revoked = store.revoke(tx, key_id)
    typer.echo(f"{revoked.id} ({revoked.name}) is revoked")


@keys.command(hidden=True)
def check() -> None:
    """Exit with 2 where the service would refuse to start for want of a key."""
    from app.auth import check_keys
    from app.service import Service
    from app.settings import Settings

    try:
        service = Service.open(Settings.from_environment())
        check_keys(service)
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    service.close()


@contextmanager
def _write() -> "Iterator[Connection]":
    """A transaction on the service's database, whose tables are made where there are none; errors in words, exit 2."""
    from sqlalchemy import inspect
    from sqlalchemy.exc import SQLAlchemyError

    from store.database import connect, migrate, write
    from store.errors import NotFound
    from store.settings import Settings

    try:
        url = Settings.from_environment().database_url
        engine = connect(url)
        try:
            if not inspect(engine).has_table("keys"):
                migrate(url)
            with write(engine) as tx:
                yield tx
        finally:
            engine.dispose()
    except SQLAlchemyError as error:
        # Not the error's own words: they hold what was to be written.
        typer.echo(f"BREGNAS_DATABASE_URL cannot be used: {type(error).__name__}", err=True)
        raise typer.Exit(2) from None
    except (ValueError, OSError, NotFound) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
