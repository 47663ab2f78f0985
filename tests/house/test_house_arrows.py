"""Arrows between packages go down only, and what must stay light stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "app": {"store", "datasets", "spec"},
    "worker": {"models", "linbreg", "store", "datasets", "spec"},
    "bregnas": {"spec"},
    "models": {"linbreg", "spec"},
    "linbreg": set(),
    "store": {"spec"},
    "datasets": {"spec"},
    "spec": set(),
}
FOREIGN = {
    "linbreg": {"torch"},
    "spec": {"pydantic"},
    "datasets": {"numpy", "PIL"},
}
NO_TORCH = {"app", "bregnas", "store", "datasets", "spec"} | {"worker"}
# Within the worker only what the trainer process loads may import torch; the worker itself stays small.
TRAINER = {
    "bundle", "card", "checkpoint", "comparison", "depth", "failure", "linear", "loop", "objective",
    "optimizers", "outcome", "path", "picture", "pipeline", "previews", "resume", "samples", "searching", "seeds",
    "tiles", "trainer", "training",
}  # fmt: skip
TORCH_IN_A_SCRIPT = {ROOT / "bregnas" / "alone.py"}  # copied out and run in another process
READS_SAMPLES = ROOT / "bregnas" / "running.py"  # through safetensors.numpy, which loads no torch


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def files(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, package
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_arrows_go_down_only(package):
    for path in files(package):
        ours = imported(path) & set(MAY_IMPORT) - {package}
        assert ours <= MAY_IMPORT[package], f"{path} imports {ours - MAY_IMPORT[package]}"


@pytest.mark.parametrize("package", FOREIGN)
def test_what_may_be_lifted_out_imports_little(package):
    allowed = FOREIGN[package] | set(sys.stdlib_module_names) | {package} | MAY_IMPORT[package]
    for path in files(package):
        assert imported(path) <= allowed, f"{path} imports {imported(path) - allowed}"


@pytest.mark.parametrize("package", sorted(NO_TORCH))
def test_torch_stays_below(package):
    for path in files(package):
        if path in TORCH_IN_A_SCRIPT or (package == "worker" and path.stem in TRAINER):
            continue
        heavy = {"torch", "onnx"} if path == READS_SAMPLES else {"torch", "safetensors", "onnx"}
        assert not heavy & imported(path), path


def test_the_worker_itself_never_loads_torch():
    script = "import sys, worker.service, worker.commands; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "False"


def test_no_file_holds_two_ideas():
    for package in MAY_IMPORT:
        for path in files(package):
            assert len(path.read_text().splitlines()) <= 350, f"{path} is long: two ideas in one?"
