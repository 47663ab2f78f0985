"""Measuring goes on where it was left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench import pool
from bench.records import read
from bench.sizes import Search
from spec import SearchSpec

ROOT = Path(__file__).parents[2]


def small(name: str, epochs: int = 2, **changes) -> Search:
    spec = {
        "superstructure": {"kind": "mlp", "widths": [32, 32]}, "task": {"kind": "denoise"}, "data": "digits",
        "target": {"fraction": 0.3}, "budget": {"epochs": epochs}, "finetune": {"epochs": 1}, "compare": [], **changes,
    }  # fmt: skip
    return Search(name, SearchSpec.model_validate(spec), {"part": "small"})


def test_what_has_a_record_is_not_measured_again(tmp_path):
    out = tmp_path / "records.jsonl"
    assert pool.run([small("first", seed=1)], out, None, jobs=1, threads=1)
    (before,) = read(out)
    assert (before["part"], before["winner"], before["machine"]["threads"]) == ("small", "found", 1)
    assert before["target"]["reached"] <= before["target"]["limit"]

    assert pool.run([small("again", seed=1), small("second", seed=2), small("third", seed=3)], out, None, 2, 1)
    first, *others = read(out)
    assert first == before
    assert {record["case"] for record in others} == {"second", "third"}
    assert not list((tmp_path / "unfinished").iterdir())


def test_a_set_that_is_not_there_is_left_out_and_said(tmp_path, capsys):
    out = tmp_path / "records.jsonl"
    assert not pool.run([small("without", data="mnist")], out, tmp_path / "empty", jobs=1, threads=1)
    assert "left out" in capsys.readouterr().out
    assert read(out) == []


PROGRAM = """
from pathlib import Path
import sys
from bench import pool
from tests.bench.test_bench_pool import small
if __name__ == "__main__":
    sys.exit(0 if pool.run([small("long", 200)], Path(sys.argv[1]), None, 1, 1) else 75)
"""


def test_a_run_that_is_told_to_stop_leaves_a_checkpoint_and_ends_the_same(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    out = tmp_path / "records.jsonl"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen([sys.executable, program, out], env=environment, start_new_session=True)
    try:
        job = tmp_path / "unfinished"
        while not list(job.glob("*/job.json")):
            assert running.poll() is None
            time.sleep(0.1)
        time.sleep(0.5)
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 75
    finally:
        running.kill()
    assert list(job.glob("*/checkpoints/*"))
    assert read(out) == []

    assert pool.run([small("long", 200)], out, None, jobs=1, threads=1)
    straight = tmp_path / "straight" / "records.jsonl"
    assert pool.run([small("long", 200)], straight, None, jobs=1, threads=1)
    assert read(out) == read(straight)
