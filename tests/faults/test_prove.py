"""The long fault run in short: kill -9 of anything, PostgreSQL too where it is installed, and nothing is lost."""

import json
import subprocess
import sys

import pytest

from tests.faults.cluster import programs


@pytest.mark.trains
def test_the_long_run_in_short():
    which = ["--postgres"] if programs() else []
    asked = ["--searches", "2", "--workers", "2", "--kills", "4", "--gap", "2", *which]
    ran = subprocess.run([sys.executable, "-m", "bench.prove", *asked], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures = json.loads(ran.stdout.splitlines()[-1])["prove"]
    assert figures["kills"] == 4
    assert figures["succeeded_as_undisturbed"] == figures["searches"] >= 2
