"""The processes: what the API imports and holds, and who restarts and ends whom."""

import http.client
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest

import app
from app.commands import worker_commands
from app.server import _as_tcp
from app.settings import Settings
from spec import EXAMPLE

CLI = [sys.executable, "-m", "bregnas.cli"]
PATIENCE_S = 20  # a machine of tests may be busy


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(port, path, timeout=1.0):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def refused_at_length(port, content_type):
    """The status for a body that is far longer than what the network buffers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("POST", "/v1/searches", b" " * 20_000_000, {"Content-Type": content_type})
    response = connection.getresponse()
    assert json.loads(response.read())["status"] == response.status
    connection.close()
    return response.status


def until(condition, within=PATIENCE_S):
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except (OSError, http.client.HTTPException, ValueError):
            pass
        time.sleep(0.02)
    raise AssertionError(f"not within {within} s")


@pytest.fixture
def environment(tmp_path, database_url):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BREGNAS_")}
    ours = {"BREGNAS_HOME": str(tmp_path), "BREGNAS_DATABASE_URL": database_url, "BREGNAS_LOG_LEVEL": "info"}
    return {**kept, **ours, "PORT": str(free_port())}


@contextmanager
def running(command, environment=None, **options):
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, text=True, **options)
    try:
        yield process
    finally:
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        process.communicate()
        for child in children:
            if child.is_running():
                child.kill()


def test_the_api_never_imports_torch():
    modules = [f"app.{module.name}" for module in pkgutil.iter_modules(app.__path__)]
    script = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
        "import dbos, alembic.script\n"  # what it imports later
        "print({'torch', 'models', 'linbreg', 'worker', 'sklearn', 'mlxtend'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_answers_do_not_wait_for_the_callers_acknowledgement():
    """asyncio switches Nagle's algorithm off where a socket says that it is TCP, and what it accepts says so too."""
    with _as_tcp(socket.create_server(("127.0.0.1", 0))) as listening:
        caller = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
        assert accepted.proto == socket.IPPROTO_TCP
        accepted.close()
        caller.close()


def test_the_api_stays_small_and_ends_in_order(environment):
    port = int(environment["PORT"])
    with running([*CLI, "api"], environment) as api:
        until(lambda: get(port, "/healthz")[0] == 200)
        assert get(port, "/v1/searches", timeout=5)[0] == 200
        assert get(port, "/readyz", timeout=5)[0] == 200
        assert refused_at_length(port, "application/json") == 413
        assert refused_at_length(port, "text/plain") == 415
        memory = psutil.Process(api.pid).memory_info().rss / 1e6
        api.send_signal(signal.SIGINT)
        assert api.wait(PATIENCE_S) == 0

    assert memory < 300  # 114 MB measured


def test_the_api_ends_with_its_standard_input_also_while_a_stream_is_open(environment):
    port = int(environment["PORT"])
    with running([*CLI, "api", "--until-stdin-closes"], environment) as api:
        until(lambda: get(port, "/healthz")[0] == 200)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        posted = json.dumps({**EXAMPLE, "data": "digits"})
        connection.request("POST", "/v1/searches", posted, {"Content-Type": "application/json"})
        search = json.loads(connection.getresponse().read())
        connection.request("GET", f"/v1/searches/{search['id']}/events", headers={"Accept": "text/event-stream"})
        stream = connection.getresponse()
        assert stream.readline() == b"retry: 2000\n"
        told = [stream.readline() for _ in range(5)]  # the stream is well under way
        assert any(b"queued" in line for line in told), told

        api.stdin.close()

        assert api.wait(PATIENCE_S) == 0
        stream.read()
        api.stdin = None


@pytest.mark.parametrize("verb", [["api"], ["serve", "--workers", "0"]])
def test_a_port_that_is_taken_is_said_in_words(environment, verb):
    with socket.create_server(("127.0.0.1", int(environment["PORT"]))):
        done = subprocess.run([*CLI, *verb], env=environment, capture_output=True, text=True, timeout=PATIENCE_S)

    assert done.returncode == 2
    assert f"port {environment['PORT']} of 127.0.0.1 is taken" in done.stderr
    assert "PORT=" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("BREGNAS_MEMORY_LIMIT", "much"),
        ("BREGNAS_MEMORY_LIMIT", "0"),
        ("BREGNAS_QUEUE", "tpu"),
        ("BREGNAS_LOG_LEVEL", "loud"),
        ("BREGNAS_DATA", "/nowhere"),
        ("BREGNAS_REQUIRE_KEY", "yes"),
        ("BREGNAS_HOSTS", "a b"),
        ("BREGNAS_ARTIFACTS", "s4://bucket"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch, tmp_path, name, value):
    monkeypatch.setenv("BREGNAS_HOME", str(tmp_path))
    monkeypatch.setenv(name, value)

    with pytest.raises(ValueError, match=f"{name}={value}"):
        Settings.from_environment()


@pytest.mark.parametrize(
    ("given", "size"), [("8GiB", 8 * 2**30), ("500 MB", 500_000_000), ("1.5gib", 1_610_612_736), ("4096", 4096)]
)
def test_a_memory_limit_is_read_as_people_write_it(monkeypatch, tmp_path, given, size):
    monkeypatch.setenv("BREGNAS_HOME", str(tmp_path))
    monkeypatch.setenv("BREGNAS_MEMORY_LIMIT", given)

    assert Settings.from_environment().memory_limit == size


def test_a_worker_is_told_whom_it_replaces():
    first, second, third = (command() for command in [worker_commands()] * 3)

    assert "--replaces" not in first.argv
    for before, after in ((first, second), (second, third)):
        old = before.environment["BREGNAS_WORKER_ID"]
        assert list(after.argv)[-3:] == ["--replaces", old, "--until-stdin-closes"]
        assert after.environment["BREGNAS_WORKER_ID"] != old


def test_serve_keeps_the_api_running_and_callers_wait_meanwhile(environment, databases):
    port = int(environment["PORT"])
    with (
        databases.fresh(migrated=False) as url,  # it migrates by itself
        running(
            [*CLI, "serve", "--workers", "0"], {**environment, "BREGNAS_DATABASE_URL": url}, stdout=subprocess.PIPE
        ) as serve,
    ):
        assert serve.stdout.readline() == f"Bregnas answers at http://127.0.0.1:{port} (Ctrl-C ends it)\n"
        assert get(port, "/readyz", timeout=5)[0] == 200
        (api,) = psutil.Process(serve.pid).children()

        api.kill()
        assert get(port, "/healthz", timeout=PATIENCE_S)[0] == 200  # the first try, without a refusal
        (new,) = psutil.Process(serve.pid).children()
        assert new.pid != api.pid

        serve.send_signal(signal.SIGINT)
        assert serve.wait(PATIENCE_S) == 0
        assert not new.is_running()
        with pytest.raises(OSError, match="refused"):
            get(port, "/healthz")


SUPERVISED = """
import sys
from pathlib import Path
from app.supervisor import Child, Command, Supervisor
from store import logs
logs.configure("info")
folder = Path(sys.argv[1])
def child(name, script):
    made = []
    def command():
        made.append(name)
        return Command([sys.executable, "-c", script, str(folder / f"{name}{len(made)}")])
    return Child(name, command)
first, other = sys.argv[2:4]
supervisor = Supervisor(
    child("first", first), [child("other", other)],
    is_ready=lambda: (folder / "first1").exists(), ready=lambda: print("ready", flush=True), grace_s=1,
)
sys.exit(supervisor.run())
"""
UNTIL_STDIN_CLOSES = (
    "import os, sys, pathlib; pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\nwhile os.read(0, 9): pass"
)
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + UNTIL_STDIN_CLOSES
BROKEN = "import sys; sys.exit(3)"


@contextmanager
def supervised(folder, first, other):
    with running([sys.executable, "-c", SUPERVISED, str(folder), first, other], stdout=subprocess.PIPE) as supervisor:
        yield supervisor


def pid(folder, name):
    return until(lambda: int((folder / name).read_text()))


def is_alive(number):
    return psutil.pid_exists(number) and psutil.Process(number).status() != psutil.STATUS_ZOMBIE


def test_who_dies_is_restarted_and_all_end_together(tmp_path):
    with supervised(tmp_path, UNTIL_STDIN_CLOSES, UNTIL_STDIN_CLOSES) as supervisor:
        assert supervisor.stdout.readline() == "ready\n"
        first, other = pid(tmp_path, "first1"), pid(tmp_path, "other1")

        os.kill(other, signal.SIGKILL)
        again = pid(tmp_path, "other2")
        os.kill(again, signal.SIGKILL)
        third = pid(tmp_path, "other3")
        supervisor.send_signal(signal.SIGTERM)

        assert supervisor.wait(PATIENCE_S) == 0
        assert not any(is_alive(number) for number in (first, other, again, third))


def test_who_does_not_end_when_told_is_killed(tmp_path):
    with supervised(tmp_path, UNTIL_STDIN_CLOSES, STUBBORN) as supervisor:
        stubborn = pid(tmp_path, "other1")
        assert supervisor.stdout.readline() == "ready\n"
        began = time.monotonic()

        supervisor.send_signal(signal.SIGINT)

        assert supervisor.wait(PATIENCE_S) == 0
        assert time.monotonic() - began > 0.9
        assert not is_alive(stubborn)


def test_a_killed_supervisor_leaves_nobody_behind(tmp_path):
    with supervised(tmp_path, UNTIL_STDIN_CLOSES, STUBBORN) as supervisor:
        children = [pid(tmp_path, "first1"), pid(tmp_path, "other1")]

        supervisor.kill()

        until(lambda: not any(is_alive(number) for number in children))


def test_who_cannot_start_at_all_ends_everything(tmp_path):
    with supervised(tmp_path, BROKEN, UNTIL_STDIN_CLOSES) as supervisor:
        assert supervisor.wait(PATIENCE_S) == 1
        assert not (tmp_path / "other1").exists() or not is_alive(pid(tmp_path, "other1"))
