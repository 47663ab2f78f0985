"""Which databases do the tests run on? Every test that touches one asks for `database_url` or `databases`.

By default on SQLite and once more on PostgreSQL: the server that BREGNAS_TEST_POSTGRES names, else one that is started
for them where its programs are installed. A test marked `trains` spends its time on training and runs on SQLite alone,
unless `--database` chooses otherwise.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
from sqlalchemy import Engine

from store.database import connect

from .databases import POSTGRES, Databases, Postgresql, Sqlite
from .faults.cluster import Cluster, programs
from .page.browser import CHROMIUM
from .page.browser import MISSING as MISSING_BROWSER

# Before torch is imported: two processes of tests share two cores, and more threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

KINDS = ("sqlite", "postgresql")
HAVE_POSTGRES = bool(POSTGRES or programs())
MISSING = "PostgreSQL: not tested, set BREGNAS_TEST_POSTGRES"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=(*KINDS, "all"), help="run all tests on it, those marked `trains` too")


def pytest_configure(config: pytest.Config) -> None:
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # begun in the background of a shell; what we start inherits it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.database in ("postgresql", "all") and not HAVE_POSTGRES:
        raise pytest.UsageError(f"{MISSING}=postgresql://user:password@host/database, or install it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "databases" in metafunc.fixturenames:
        metafunc.parametrize("databases", _kinds(metafunc), indirect=True, scope="session")


def _kinds(metafunc: pytest.Metafunc) -> list[str]:
    chosen = metafunc.config.option.database
    marked = {mark.name: mark.args for mark in metafunc.definition.iter_markers()}
    possible = [kind for kind in marked.get("database", KINDS) if HAVE_POSTGRES or kind == "sqlite"]
    if chosen in KINDS:
        return [kind for kind in possible if kind == chosen]
    return possible[:1] if "trains" in marked and chosen != "all" else possible


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not HAVE_POSTGRES:
        terminalreporter.write_line(MISSING, red=True, bold=True)
    elif config.option.database is None:
        terminalreporter.write_line("Tests marked `trains` ran on SQLite alone; on PostgreSQL too: make test-postgres")
    if CHROMIUM is None:
        terminalreporter.write_line(MISSING_BROWSER, red=True, bold=True)


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Makes databases of the kind that the test runs on."""
    if request.param == "sqlite":
        yield Sqlite(tmp_path_factory.mktemp("databases"))
        return
    with nullcontext(POSTGRES) if POSTGRES else _cluster() as server:
        made = Postgresql(server)
        if not POSTGRES:
            made.hurry()
        yield made
        made.close()


@contextmanager
def _cluster() -> Iterator[str]:
    with Cluster() as cluster, _ended_with_us(cluster):
        yield cluster.url


@contextmanager
def _ended_with_us(cluster: Cluster) -> Iterator[None]:
    """Also where the tests are killed: then this pipe closes, and who reads it ends the server and its folder."""
    script = 'cat; kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")" && sleep 1; rm -rf "$1"'
    command = ["sh", "-c", script, "sh", str(cluster.folder)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, **quiet) as watcher:
        yield
        watcher.kill()


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A migrated database with nothing in it."""
    with databases.fresh() as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    yield engine
    engine.dispose()
