"""Every block of the pages of docs/ and the cells of the notebook, run against one real service.

A block of commands whose first line says `# not run by the tests` is only read: its verbs and targets are there.
`your-images.md` has a test of its own, and the README too.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from bregnas.cli import _VERBS, build
from spec import SearchSpec

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
ELSEWHERE = {"your-images.md": "test_own_data.py"}
NOT_RUN = "# not run by the tests"
NOTEBOOK = DOCS / "own-images.ipynb"

pytestmark = pytest.mark.trains


def blocks(page: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page: (language, text)."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


RUN = [
    page for page in PAGES if page not in ELSEWHERE and any(not text.startswith(NOT_RUN) for _, text in blocks(page))
]


@pytest.fixture
def place(service, tmp_path):
    """A folder as the pages speak of it: images, a photo, and the service that `bregnas` finds by itself."""
    (tmp_path / "my-images").mkdir()
    rng = np.random.default_rng(1)
    for number in range(24):
        pixels = np.add.outer(np.arange(40), np.arange(34 + number)) + 60 * (rng.random((40, 34 + number)) > 0.95)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "my-images" / f"{number:02}.png")
    Image.effect_noise((90, 70), 50).convert("RGB").save(tmp_path / "photo.png")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BREGNAS_")}
    environment = {
        **kept, "BREGNAS_URL": service.url, "BREGNAS_THREADS": "1", "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    return tmp_path, environment


def execute(command: list[str], place) -> str:
    folder, environment = place
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{command[-1]}\n{run.stdout}\n{run.stderr}"
    return run.stdout


@pytest.mark.parametrize("page", RUN)
def test_the_blocks_of_a_page_do_what_they_say(page, place, service):
    folder, _ = place
    ran: list[str] = []
    for language, text in blocks(page):
        if language == "json":
            SearchSpec.model_validate_json(text)
            answer = service.client.post("/v1/searches/estimate", json=json.loads(text))
            assert answer.status_code == 200, answer.text
        elif language == "yaml":
            SearchSpec.model_validate_json(json.dumps(yaml.safe_load(text)))
            (folder / "search.yaml").write_text(text)
        elif language == "python":
            ran.append(execute([sys.executable, "-c", text], place))
        elif not text.startswith(NOT_RUN):
            assert language == "sh", f"{page} has a block of {language}, which nobody runs"
            ran.append(execute(["bash", "-euo", "pipefail", "-c", text], place))
    for search in service.client.get("/v1/searches?limit=100").json()["data"]:  # what a page only queued
        if search["finished_at"] is None:
            service.client.post(f"/v1/searches/{search['id']}/cancel")
    if page == "start.md":
        assert "what was found" in ran[0]
        assert Image.open(folder / "photo-denoise.png").size == (90, 70)
        assert "model.onnx" in ran[-1]


def test_the_notebook_ends_with_a_network_that_takes_noise_out_in_onnx_runtime(place):
    folder, _ = place
    shutil.rmtree(folder / "my-images")  # it brings images of its own
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    program = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    said = execute([sys.executable, "-c", program + "\nimport sys; print('torch' in sys.modules)"], place)
    before, after = re.search(r"([\d.]+) dB with noise, ([\d.]+) dB without", said).groups()
    assert float(after) > float(before) + 1, said
    assert said.endswith("False\n")
    assert Image.open(folder / "noisy-denoised-clean.png").size == (3 * 64, 64)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_what_is_not_run_names_verbs_and_targets_that_are_there(page):
    verbs = {name for group in _VERBS.values() for name, _ in group}
    verbs |= {group.name for group in build().registered_groups} | {one.name for one in build().registered_commands}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for language, text in blocks(page):
        assert language in ("sh", "python", "json", "yaml"), f"{page}: nobody runs {language}"
        if text.startswith(NOT_RUN):
            for line in text.splitlines():
                words = [word for word in shlex.split(line, comments=True) if "=" not in word]
                if words[:1] == ["bregnas"]:
                    assert words[1] in verbs, line
                if words[:1] == ["make"]:
                    assert words[1] in targets, line
    if page in ELSEWHERE:
        assert page in (Path(__file__).parent / ELSEWHERE[page]).read_text()


def test_the_index_names_every_page():
    index = (DOCS / "README.md").read_text()
    pages = [path.name for path in (*DOCS.glob("*.md"), NOTEBOOK) if path.name != "README.md"]
    assert [name for name in pages if f"]({name})" not in index] == []
    for path in DOCS.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path}: {link}"
