"""Is the composition one that can run? Its commands are started as they stand, against a real PostgreSQL."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

ROOT = Path(__file__).parents[2]
POSTGRES = os.environ.get("BREGNAS_TEST_POSTGRES")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return services


def test_every_service_that_another_waits_for_is_there(services: dict[str, Any]) -> None:
    assert {"postgres", "migrate", "api", "worker", "worker-gpu", "s3"} <= set(services)
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)


def test_docker_takes_the_file() -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not here")
    command = ["docker", "compose", "--profile", "gpu", "--profile", "s3", "config", "--quiet"]
    environment = {**os.environ, "POSTGRES_PASSWORD": "x"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not POSTGRES, reason="BREGNAS_TEST_POSTGRES names no database")
def test_the_commands_run(services: dict[str, Any], tmp_path: Path) -> None:
    assert POSTGRES
    port = "18437"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BREGNAS_")},
        "BREGNAS_HOME": str(tmp_path),
        "BREGNAS_DATABASE_URL": POSTGRES,
        "HOST": "127.0.0.1",
        "PORT": port,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    assert services["migrate"]["command"][0] == "bregnas"
    subprocess.run(services["migrate"]["command"], env=environment, check=True, timeout=60)
    started = [subprocess.Popen(services[name]["command"], env=environment) for name in ("api", "worker")]
    try:
        deadline = time.monotonic() + 30
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
        ends = [process.wait(30) for process in started]
    assert ends[0] in (0, -15)  # uvicorn ends in order, then raises the signal once more
    assert ends[1] == 0
