"""A malformed setting is said by its name before the worker begins, and its secrets are not."""

import os
import subprocess
import sys

import pytest

from worker.settings import WorkerSettings


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    for name in os.environ:
        if name.startswith("BREGNAS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("BREGNAS_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BREGNAS_THREADS", "1.5"),
        ("BREGNAS_THREADS", "0"),
        ("BREGNAS_THREADS", "-2"),
        ("BREGNAS_THREADS", "two"),
        ("BREGNAS_THREADS", "1e3"),
        ("BREGNAS_THREADS", "99999"),
        ("BREGNAS_HEARTBEAT_S", "nan"),
        ("BREGNAS_HEARTBEAT_S", "soon"),
        ("BREGNAS_CHECKPOINT_S", "-1"),
        ("BREGNAS_CHECKPOINT_COPY_S", "0"),
        ("BREGNAS_HANG_S", "inf"),
        ("BREGNAS_RETENTION_S", "1e9"),
        ("BREGNAS_SILENT_S", "15"),
        ("BREGNAS_QUEUE", "tpu"),
        ("BREGNAS_LOG_LEVEL", "loud"),
        ("BREGNAS_DATA", "/nowhere"),
        ("BREGNAS_ARTIFACTS", "s4://bucket"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(ValueError, match=f"{name}={value}"):
        WorkerSettings.from_environment()


@pytest.mark.parametrize(
    "url",
    [
        "secret",
        "mysql://user:secret@host/name",
        "postgresql://user:secret@host:port/name",
        "postgresql+asyncpg://user:secret@host/name",
        "sqlite://",
        "://secret",
    ],
)
def test_a_database_that_cannot_be_used_is_said_without_its_password(monkeypatch, url):
    monkeypatch.setenv("BREGNAS_DATABASE_URL", url)

    with pytest.raises(ValueError, match="BREGNAS_DATABASE_URL") as refused:
        WorkerSettings.from_environment()

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["postgres://u:p@h/n", "postgresql://h/n", "sqlite:////tmp/x.db"])
def test_the_databases_that_people_have_are_taken(monkeypatch, url):
    monkeypatch.setenv("BREGNAS_DATABASE_URL", url)

    assert WorkerSettings.from_environment().shared.database_url == url


@pytest.mark.parametrize(("name", "value"), [("BREGNAS_LOG_LEVEL", "loud"), ("BREGNAS_ARTIFACTS", "/proc/nothing")])
def test_the_worker_says_it_in_a_line_and_ends(name, value):
    done = subprocess.run(
        [sys.executable, "-m", "bregnas.cli", "worker"],
        env={**os.environ, name: value}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert name in done.stderr
    assert "Traceback" not in done.stderr
