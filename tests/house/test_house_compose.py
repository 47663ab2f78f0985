"""Is the composition one that can run? Compose itself reads it, and its commands are started as they stand."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app import supervisor
from worker.service import GRACE_S

ROOT = Path(__file__).parents[2]
PASSWORD = {"POSTGRES_PASSWORD": "x"}
ALWAYS = {"postgres", "prepare", "migrate", "api", "worker"}
PROFILES = {"gpu": {"worker-gpu"}, "s3": {"s3", "s3-bucket"}}


@pytest.fixture(scope="module")
def compose() -> list[str]:
    """Docker's plugin, or the older program: the file is for both."""
    for program in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(program[0]) and not subprocess.run([*program, "version"], capture_output=True).returncode:
            return program
    pytest.skip("neither `docker compose` nor docker-compose is here: nobody has read docker-compose.yml")


def config(compose: list[str], *profiles: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    wanted = [word for profile in profiles for word in ("--profile", profile)]
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [*compose, "--project-directory", str(ROOT), "-f", str(ROOT / "docker-compose.yml"), *wanted, "config"]
    return subprocess.run(command, env={**bare, **environment}, capture_output=True, text=True, check=False)


def services(compose: list[str], *profiles: str, **environment: str) -> dict[str, Any]:
    """The services as compose understands them."""
    done = config(compose, *profiles, **environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return found


def written() -> dict[str, Any]:
    """The services as they are written."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return found


@pytest.mark.parametrize("profiles", [(), ("gpu", "s3")])
def test_compose_takes_every_profile(compose: list[str], profiles: tuple[str, ...]) -> None:
    found = services(compose, *profiles, **PASSWORD)

    wanted = ALWAYS.union(*(PROFILES[profile] for profile in profiles))
    assert wanted <= set(found) <= ALWAYS.union(*PROFILES.values())  # the older program shows those of all profiles
    for service in found.values():
        assert set(service.get("depends_on", ())) <= set(found)
        assert "image" in service
        assert service["image"] != "bregnas" or service["build"], "who starts first builds it"


def test_a_profile_adds_its_services_alone() -> None:
    of = {name: service.get("profiles", []) for name, service in written().items()}

    assert {name for name, profiles in of.items() if not profiles} == ALWAYS
    for profile, names in PROFILES.items():
        assert {name for name, profiles in of.items() if profiles == [profile]} == names


def test_it_does_not_start_without_a_password(compose: list[str]) -> None:
    done = config(compose)

    assert done.returncode != 0
    assert "POSTGRES_PASSWORD" in done.stderr


def test_searches_wait_where_the_operator_says_and_each_worker_serves_its_device(compose: list[str]) -> None:
    for chosen, device in (({}, "cpu"), ({"BREGNAS_QUEUE": "cuda"}, "cuda")):
        found = services(compose, "gpu", **PASSWORD, **chosen)
        assert found["api"]["environment"]["BREGNAS_QUEUE"] == device
        assert found["worker"]["command"][-2:] == ["--queue", "cpu"]
        assert found["worker-gpu"]["command"][-2:] == ["--queue", "cuda"]


def test_the_object_store_is_used_with_two_variables(compose: list[str]) -> None:
    chosen = {"BREGNAS_ARTIFACTS": "s3://bregnas", "AWS_SECRET_ACCESS_KEY": "long enough"}
    found = services(compose, "s3", **PASSWORD, **chosen)
    store = found["s3"]["environment"]
    for user in (found["api"]["environment"], found["worker"]["environment"]):
        assert user["BREGNAS_ARTIFACTS"] == "s3://bregnas"
        assert user["AWS_ENDPOINT"] == "http://s3:9000"
        assert (user["AWS_ACCESS_KEY_ID"], user["AWS_SECRET_ACCESS_KEY"]) == (
            store["MINIO_ROOT_USER"],
            store["MINIO_ROOT_PASSWORD"],
        )
    assert "s3/bregnas" in found["s3-bucket"]["command"][0]


def test_who_ends_workers_waits_as_long_as_they_may_take() -> None:
    for name in ("worker", "worker-gpu"):
        assert int(written()[name]["stop_grace_period"].removesuffix("s")) > GRACE_S
    assert supervisor.GRACE_S > GRACE_S


@pytest.mark.database("postgresql")
def test_the_commands_run(database_url: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BREGNAS_")},
        "BREGNAS_HOME": str(tmp_path),
        "BREGNAS_DATABASE_URL": database_url,
        "HOST": "127.0.0.1",
        "PORT": port,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    commands = {name: written()[name]["command"] for name in ("migrate", "api", "worker")}
    assert all(command[0] == "bregnas" for command in commands.values())
    subprocess.run(commands["migrate"], env=environment, check=True, timeout=60)
    started = [subprocess.Popen(commands[name], env=environment) for name in ("api", "worker")]
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert [process.poll() for process in started] == [None, None]
    finally:
        for process in started:
            process.terminate()
        ends = [process.wait(60) for process in started]
    assert ends[0] in (0, -15)  # uvicorn ends in order, then raises the signal once more
    assert ends[1] == 0
