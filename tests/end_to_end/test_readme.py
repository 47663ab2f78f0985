"""The README's commands work as printed."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from ..service import serving

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.trains
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed, and the README's calls need it")
def test_the_curl_calls_of_the_readme_end_with_a_network_that_runs(tmp_path, database_url):
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL) if "curl" in block]
    assert len(blocks) == 3
    (tmp_path / "my-images").mkdir()
    for number in range(20):
        Image.effect_noise((48 + number, 64), 50).save(tmp_path / "my-images" / f"{number}.png")
    with serving(tmp_path / "home", BREGNAS_DATABASE_URL=database_url) as service:
        script = "\n".join(blocks).replace("http://127.0.0.1:8000", service.url)
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "event: succeeded" in run.stdout
    last = json.loads((tmp_path / "search.json").read_text())
    assert last["spec"]["superstructure"]["kind"] == "unet"  # accepted; that such a search ends is tested elsewhere
    (archive,) = tmp_path.glob("denoise-mlp-*.zip")
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(tmp_path)
    replay = subprocess.run(
        [sys.executable, "model.py"], cwd=archive.with_suffix(""), capture_output=True, text=True, check=False
    )
    assert replay.returncode == 0, replay.stderr


def test_every_make_target_and_every_file_that_the_readme_names_is_there():
    text = README.read_text()
    makefile = (README.parent / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for path in re.findall(r"\]\(([^)#]+)\)", text):
        assert (README.parent / path).exists(), path
