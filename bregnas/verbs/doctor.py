"""`bregnas doctor`: what is wrong with an installation, and how to mend it.

What this package can see it looks at itself. The packages of the service and the worker register what they can see as
entry points of the group `bregnas.checks`: functions that give (name, state, what is the case, how to mend it), the
state being `ok`, `note` or `wrong`.
"""

import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, entry_points, version

import typer
from packaging.requirements import Requirement
from packaging.version import Version

from bregnas import profiles
from bregnas.client import Bregnas
from bregnas.connection import own_version
from bregnas.errors import APIError, BregnasError
from bregnas.plain import cell
from bregnas.verbs.session import Exit, Session, session

GROUP = "bregnas.checks"

Finding = tuple[str, str, str, str]
"""Name, state, what is the case, how to mend it ('' where nothing is to be mended)."""

_STYLES = {"ok": "green", "note": "yellow", "wrong": "red"}


def doctor(context: typer.Context) -> None:
    """Say what is wrong with this installation and the service that it would use, and how to mend it.

    Ends with 1 where something is wrong; a note is no fault.
    """
    mine = session(context)
    found = [*_packages(), *_registered(), *_service(mine)]
    if mine.json:
        mine.show([{"check": name, "state": state, "found": said, "mend": mend} for name, state, said, mend in found])
    else:
        for name, state, said, mend in found:
            mine.out.print(cell(f"{state:<5}", _STYLES.get(state, "")), cell(f"{name}: {said}"), soft_wrap=True)
            if mend:
                mine.out.print(cell(f"      → {mend}"), soft_wrap=True)
    if any(state == "wrong" for _, state, _, _ in found):
        raise typer.Exit(Exit.SERVER)


def _packages() -> Iterator[Finding]:
    least = (3, 11)
    said = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < least:
        yield "Python", "wrong", said, "Bregnas needs Python 3.11 or newer"
    else:
        yield "Python", "ok", said, ""
    try:
        needed = [Requirement(line) for line in distribution("bregnas").requires or ()]
    except PackageNotFoundError:
        yield "packages", "note", "bregnas is run from its source and was not installed", "pip install -e '.[worker]'"
        return
    wrong = [unmet for one in needed if (unmet := _unmet(one, ""))]
    for extra, what in (("server", "bregnas serve"), ("worker", "bregnas worker"), ("run", "bregnas run")):
        missing = [unmet for one in needed if (unmet := _unmet(one, extra))]
        versions = [said for said in missing if "not installed" not in said]
        if versions:
            wrong += [said for said in versions if said not in wrong]
        elif missing:
            yield (
                f"extra {extra}",
                "note",
                f"{what} is not here: {'; '.join(missing)}",
                f"pip install 'bregnas[{extra}]'",
            )
        else:
            yield f"extra {extra}", "ok", f"{what} has what it needs", ""
    if wrong:
        yield "packages", "wrong", "; ".join(wrong), "install with: pip install -c constraints.txt 'bregnas[worker]'"
    else:
        yield "packages", "ok", f"bregnas {own_version()} and what it needs are installed", ""


def _unmet(needed: Requirement, extra: str) -> str | None:
    """What is wrong about one requirement of an extra ('' for what is always needed), if anything."""
    if needed.name == "bregnas" or (needed.marker and not needed.marker.evaluate({"extra": extra})):
        return None
    if extra and not needed.marker:
        return None
    try:
        found = version(needed.name)
    except PackageNotFoundError:
        return f"{needed.name} is not installed"
    if not needed.specifier.contains(Version(found), prereleases=True):
        return f"{needed.name} is {found}, and {needed.specifier} is needed"
    return None


def _registered() -> Iterator[Finding]:
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        try:
            checks: Iterable[Finding] = point.load()()
            yield from checks
        except ModuleNotFoundError as error:
            yield point.name, "note", f"not looked at: {error.name} is not here", f"pip install 'bregnas[{point.name}]'"


def _service(mine: Session) -> Iterator[Finding]:
    """The service that the client would use, and the key for it."""
    try:
        access = profiles.access(mine.url, profile=mine.profile)
    except BregnasError as error:
        yield "profile", "wrong", str(error), "see above, or: bregnas login"
        return
    key = f"with the key of {access.source}" if access.key else "without a key"
    with Bregnas(mine.url, profile=mine.profile) as client:
        try:
            answer = client._http.get("/readyz", timeout=5.0)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing answers
            said = f"nothing answers at {access.url} ({type(error).__name__})"
            yield (
                "service",
                "wrong",
                said,
                "start it: bregnas serve; or name another: --url, BREGNAS_URL, bregnas login",
            )
            return
        if answer.status_code != 200:
            detail = APIError.of(answer.status_code, _document(answer.content), answer.text).detail
            yield "service", "wrong", f"{access.url} answers, and is not ready: {detail}", "look into its log"
            return
        yield "service", "ok", f"{access.url} is ready", ""
        try:
            next(client.searches.list(most=1), None)
        except APIError as error:
            mend = "bregnas login, or set BREGNAS_KEY" if error.status == 401 else "see what it says"
            yield "key", "wrong", f"{access.url} does not let us in {key}: {error.detail}", mend
            return
        except BregnasError as error:
            yield "key", "wrong", str(error), "look into the service's log"
            return
        yield "key", "ok", f"it lets us in {key}", ""
        if (
            access.key
            and access.url.startswith("http://")
            and "127.0.0.1" not in access.url
            and "localhost" not in access.url
        ):
            yield "key", "note", "the key travels in plain HTTP and can be read on the way", "let a proxy speak https"
        theirs = _document(client._http.get("/openapi.json").content)
        number = theirs.get("info", {}).get("version") if isinstance(theirs, dict) else None
        if number and number != own_version():
            yield (
                "versions",
                "note",
                f"the service is version {number}, this is {own_version()}",
                "install the same here",
            )


def _document(content: bytes) -> object:
    import json

    try:
        return json.loads(content)
    except ValueError:
        return None
