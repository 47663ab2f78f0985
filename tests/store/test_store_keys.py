"""Keys: made, found by their secret alone, revoked; and what a tenant is."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from store import database, idempotency, keys, lifecycle, searches
from store.errors import NotFound
from store.ids import new_id
from store.searches import Search


@pytest.fixture(autouse=True)
def _no_keys(engine: Engine) -> None:
    with database.write(engine) as tx:
        tx.execute(text("DELETE FROM keys"))


def test_a_key_is_found_by_its_secret_until_it_is_revoked(engine: Engine) -> None:
    with database.write(engine) as tx:
        made, secret = keys.make(tx, None, "laptop")
        other, _ = keys.make(tx, None, "laptop")
    assert re.fullmatch(r"bgk_[A-Za-z0-9_-]{43}", secret)
    assert keys.is_secret(secret)
    assert re.fullmatch(r"tnt_[0-9a-f]{32}", made.tenant)
    assert made.tenant != other.tenant

    with database.write(engine) as tx:
        assert keys.resolve(tx, secret) == made
        assert keys.resolve(tx, secret[:-1] + ("A" if secret[-1] != "A" else "B")) is None
        assert keys.is_valid(tx, made.id)
        revoked = keys.revoke(tx, made.id)
        assert keys.revoke(tx, made.id) == revoked  # again does no harm
        assert keys.resolve(tx, secret) is None
        assert not keys.is_valid(tx, made.id)
        assert keys.any_valid(tx)
        keys.revoke(tx, other.id)
        assert not keys.any_valid(tx)
        assert [(key.id, key.revoked_at is not None) for key in keys.all_keys(tx)] == [
            (made.id, True),
            (other.id, True),
        ]


def test_the_database_has_no_secret(engine: Engine) -> None:
    with database.write(engine) as tx:
        _, secret = keys.make(tx, "lab", "laptop")

    with database.read(engine) as tx:
        rows = repr(tx.execute(text("SELECT * FROM keys")).all())
    assert "laptop" in rows
    assert secret not in rows
    assert secret.removeprefix(keys.PREFIX) not in rows


def test_keys_may_share_a_tenant(engine: Engine) -> None:
    with database.write(engine) as tx:
        one, two = keys.make(tx, "lab", "old")[0], keys.make(tx, "lab", "new")[0]
    assert one.tenant == two.tenant == "lab"


@pytest.mark.parametrize(
    ("tenant", "name"), [("", "x"), ("a b", "x"), ("x" * 65, "x"), (None, ""), (None, " "), (None, "a\nb")]
)
def test_what_cannot_be_kept_is_refused_in_words(engine: Engine, tenant: str | None, name: str) -> None:
    with database.write(engine) as tx, pytest.raises(ValueError, match=r"tenant|name"):
        keys.make(tx, tenant, name)


def test_who_revokes_what_is_not_there_is_told(engine: Engine) -> None:
    with database.write(engine) as tx, pytest.raises(NotFound, match="key_none"):
        keys.revoke(tx, "key_none")


def test_a_tenant_does_not_find_what_is_another_s(engine: Engine, post: Callable[..., Search]) -> None:
    mine, other = post(tenant="a"), post(tenant="b")
    calls = [
        searches.get,
        searches.history,
        searches.events,
        searches.artifacts,
        lifecycle.pause,
        lifecycle.resume,
        searches.cancel,
        searches.delete,
    ]
    for call in calls:
        with pytest.raises(NotFound, match=other.id) as hidden, database.write(engine) as tx:
            call(tx, other.id, tenant="a")
        nobody = new_id("srch")
        with pytest.raises(NotFound) as missing, database.write(engine) as tx:
            call(tx, nobody, tenant="a")
        assert str(hidden.value).replace(other.id, nobody) == str(missing.value)
    with pytest.raises(NotFound), database.write(engine) as tx:
        searches.artifact(tx, other.id, "bundle.zip", tenant="a")
    with database.read(engine) as tx:
        assert searches.get(tx, other.id) == other  # the worker's way; nothing has changed
        assert searches.get(tx, mine.id, tenant="a") == mine
        assert [found.id for found in searches.list_page(tx, tenant="a").items] == [mine.id]
        # A cursor is a place in the list, whosever search it names.
        assert [found.id for found in searches.list_page(tx, tenant="a", after=other.id).items] == [mine.id]


def test_the_same_idempotency_key_of_two_tenants_is_two_keys(engine: Engine, post: Callable[..., Search]) -> None:
    one, two = post(tenant="a"), post(tenant="b")
    with database.write(engine) as tx:
        assert idempotency.once(tx, "k", "0", lambda _: one, tenant="a") == (one, True)
        assert idempotency.once(tx, "k", "1", lambda _: two, tenant="b") == (two, True)
        assert idempotency.once(tx, "k", "0", lambda _: two, tenant="a") == (one, False)
