"""The command line against a real service: what it prints, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer import BadParameter

from bregnas import Bregnas, profiles
from bregnas.cli import run
from bregnas.errors import APIError
from bregnas.plain import as_json, plain
from bregnas.verbs.options import Given, count, refused, specification

from .conftest import SEARCH

pytestmark = pytest.mark.trains


@pytest.fixture
def bregnas(service, capfd):
    """Run a command line: (how it ended, its results, the rest)."""

    def called(*arguments, url=service.url):
        capfd.readouterr()
        code = run(["--url", url, *map(str, arguments)])
        told = capfd.readouterr()
        return code, told.out, told.err

    return called


MLP = ("search", "--data", "digits", "--net", "mlp", "--widths", "48,40", "--task", "denoise")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((*MLP[:3], "--net", "unt", "--task", "denoise"), 2, "--net unt: unknown superstructure 'unt'; did you mean"),
        (("search", "--data", "digts", *MLP[3:]), 2, "--data digts: no data set is named 'digts'; did you mean"),
        ((*MLP, "--targt-params", "3k"), 2, "--target-params"),
        (("serch",), 2, "Did you mean 'search'"),
        ((*MLP[:3], "--net", "mlp", "--task", "denoise"), 2, "--widths: 'widths' is required"),
        ((*MLP, "--target-params", "900k"), 2, "--target-params 900000: this superstructure has networks from"),
        ((*MLP, "--set", "method.denisty=0.1"), 2, "unknown field 'denisty'; did you mean 'density'?"),
        ((*MLP, "--set", "method=[1"), 2, "is no JSON"),
        ((*MLP, "--lr", "0", "--epochs", "0"), 2, "--epochs 0: "),
        (("search", "--data", "./nowhere", *MLP[3:]), 2, "nowhere is not there"),
        (("search", "--from", "nowhere.yaml"), 2, "nowhere.yaml: it cannot be read"),
        (("show", "srch_1"), 2, "that is no id"),
        (("list", "--metadata", "project"), 2, "write it like --metadata project=demo"),
        (("show", "srch_" + "0" * 12 + "7000" + "8" + "0" * 15), 2, "srch_000000000000"),
        (("run", "nowhere.zip", "x.png"), 2, "nowhere.zip cannot be read as a bundle"),
        (("list", "--url", "http://127.0.0.1:9"), 1, "is it running?"),
        (("list", "--profile", "elsewhere"), 2, "there is no profile 'elsewhere'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_with_what_to_type_instead(bregnas, arguments, code, said):
    ended, out, err = bregnas(*arguments)
    assert (ended, out) == (code, "")
    assert said in err
    assert "Traceback" not in err


def test_every_verb_shows_a_finished_search(bregnas, service, finished, tmp_path):
    done, _ = finished
    assert bregnas("show", done.id)[:2] == (0, bregnas("watch", done.id)[1])
    for verb in ("list", "layers", "front", "architectures"):
        code, out, err = bregnas(verb, *([done.id] if verb in ("layers", "front") else []))
        assert (code, err) == (0, "")
        assert done.id in out or verb in ("layers", "front")
    code, out, _ = bregnas("--json", "show", done.id)
    assert json.loads(out)["result"]["winner"] == done.result["winner"]
    code, out, _ = bregnas("watch", done.id, "--json")
    assert [json.loads(line)["kind"] for line in out.splitlines()][-1] == "succeeded"
    code, out, _ = bregnas("estimate", "--data", done.spec["data"], "--from", _yaml(tmp_path), "--json")
    assert json.loads(out)["target"] == 600
    code, out, _ = bregnas("data", "show", done.spec["data"], "--json")
    assert json.loads(out)["count"] == 30
    code, out, err = bregnas(
        "clone", done.id, "--target-macs", "1M", "--sigma", "0.2", "--quiet", "--set", "priority=-9"
    )
    clone = service.get(out.strip())
    assert err == ""
    assert clone["spec"]["target"] == {"parameters": None, "macs": 10**6, "fraction": None, "neurons": None}
    assert clone["spec"]["task"]["sigma"] == 0.2
    assert clone["spec"]["superstructure"] == done.spec["superstructure"]
    code, out, _ = bregnas("compare", done.id, clone["id"])
    assert code == 0
    assert "task.sigma" in out
    assert bregnas("cancel", clone["id"])[0] == 0


def _yaml(folder):
    path = folder / "search.yaml"
    path.write_text(json.dumps({name: part for name, part in SEARCH.items() if name != "data"}))
    return path


def test_how_a_wait_ends(bregnas, service, finished, failed):
    done, _ = finished
    code, _, err = bregnas("watch", failed.id)
    assert code == 5
    assert "time_limit" in err
    with Bregnas(service.url) as client:
        waits = client.searches.get(done.id).clone(priority=-50).pause()
        assert bregnas("watch", waits.id, "--timeout", "0.1")[0] == 3
        command = [sys.executable, "-m", "bregnas.cli", "--url", service.url, "watch", waits.id]
        for more in ([], ["--json"]):
            with subprocess.Popen(
                [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ) as watching:
                assert watching.stdout.readline()  # it watches
                time.sleep(0.2)
                watching.send_signal(signal.SIGINT)
                _, err = watching.communicate(timeout=60)
            assert watching.returncode == 130, err
            assert f"go on watching: bregnas watch {waits.id}" in err
            assert waits.refresh().status in ("paused", "pausing")  # it was not killed
        waits.cancel()
    assert bregnas("watch", waits.id)[0] == 6


def test_a_bundle_is_fetched_verified_and_run_and_a_changed_byte_is_noticed(
    bregnas, finished, pngs, tmp_path, monkeypatch
):
    done, _ = finished
    monkeypatch.chdir(tmp_path)
    code, out, _ = bregnas("download", done.id, "--quiet")
    bundle = tmp_path / out.strip()
    assert bregnas("verify", bundle)[0] == 0
    code, out, err = bregnas("run", bundle, pngs, "--out", "made")
    assert (code, err, len(out.splitlines())) == (0, "", 30)
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    (inside,) = folder.iterdir()
    large = tmp_path / "large.png"
    Image.effect_noise((700, 530), 60).save(large)  # larger than a tile
    subprocess.run(
        [sys.executable, "model.py", large, tmp_path / "theirs.png"], cwd=inside, check=True, capture_output=True
    )
    assert bregnas("run", inside, large, "--out", "ours.png")[0] == 0
    ours, theirs = (np.asarray(Image.open(tmp_path / name), int) for name in ("ours.png", "theirs.png"))
    assert np.abs(ours - theirs).max() <= 1  # rounding
    with monkeypatch.context() as patch:  # as where ONNX Runtime is not installed
        patch.setattr("bregnas.running._is_here", lambda *names: "onnxruntime" not in names)
        code, _, err = bregnas("run", bundle, large)
        assert (code, "--trust" in err) == (2, True)
        assert bregnas("run", bundle, large, "--trust", "--out", "torch.png")[0] == 0
    assert np.abs(np.asarray(Image.open("torch.png"), int) - theirs).max() <= 1
    code, out, _ = bregnas("push", bundle, "somebody/something")
    assert code == 2
    weights = inside / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    code, out, _ = bregnas("verify", inside)
    assert (code, out) == (7, "model.safetensors is not what was published: its SHA-256 differs\n")
    code, out, err = bregnas("run", inside, large, "--out", "broken.png")
    assert (code, out, "its SHA-256 differs" in err) == (7, "", True)
    assert not (tmp_path / "broken.png").exists()
    (inside / "README.md").unlink()
    assert "README.md is missing" in bregnas("verify", inside, "--json")[1]


def test_a_local_search_publishes_what_a_service_would(bregnas, finished, pngs, tmp_path, monkeypatch):
    done, _ = finished
    monkeypatch.setenv("BREGNAS_THREADS", "1")
    given = ("search", "--local", "--data", pngs, "--from", _yaml(tmp_path), "--folder", tmp_path / "here", "--json")
    code, out, err = bregnas(*given, url="http://127.0.0.1:9")
    assert code == 0, err
    local = json.loads(out)
    assert local["result"]["candidates"][0]["validation"] == done.result["candidates"][0]["validation"]
    made = {path.name: path for path in (tmp_path / "here" / "results").iterdir()}
    published = {artifact.name: artifact for artifact in done.artifacts()}
    assert {name for name in made if "unet" not in name} == {name for name in published if "unet" not in name}
    fetched = done.download_artifact("model.safetensors", tmp_path)
    assert fetched.read_bytes() == made["model.safetensors"].read_bytes()
    code, _, err = bregnas(*given, "--seed", "7")
    assert code == 2
    assert "holds another search" in err
    code, _, err = bregnas(*given, "--folder", tmp_path / "other", "--crop", "64")
    assert (code, "--crop 64: the smallest image has 32×32 pixels" in err) == (2, True)


def test_what_a_service_says_is_shown_and_not_obeyed(bregnas, service, finished):
    done, _ = finished
    hostile = "x\x9b31m\u202e[bold]\u2028y"
    with Bregnas(service.url) as client:
        made = client.searches.get(done.id).clone(name=hostile, priority=-99).cancel()
    for arguments in (("list",), ("show", made.id), ("list", "--json")):
        code, out, _ = bregnas(*arguments)
        assert code == 0
        assert "[bold]" in out
        assert not {"\x9b", "\u202e", "\u2028"} & set(out)


@given(st.text())
def test_plain_text_is_printable_and_json_is_ascii(text):
    assert plain(text).isprintable()
    assert json.loads(as_json(text)) == text
    assert as_json(text).isascii()


def test_a_key_is_kept_once_the_service_takes_it(bregnas, service, monkeypatch, tmp_path):
    stdin = tmp_path / "key"
    for key, code in (("bgk_" + "a" * 43, 4), ("not a key", 2), ("", 0)):
        stdin.write_text(f"{key}\n")
        with stdin.open() as given_:
            monkeypatch.setattr(sys, "stdin", given_)
            assert bregnas("login")[0] == code
        assert profiles.file().exists() == (code == 0)
    assert profiles.file().stat().st_mode & 0o777 == 0o600
    assert profiles.access().url == service.url
    monkeypatch.setenv("BREGNAS_KEY", "bgk_" + "a" * 43)
    code, out, err = bregnas("list")
    assert (code, out) == (4, "")
    assert "bregnas login" in err


def test_the_doctor_names_what_is_wrong_and_how_to_mend_it(bregnas, service, monkeypatch, tmp_path):
    monkeypatch.setenv("BREGNAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PORT", service.url.rpartition(":")[2])
    code, out, err = bregnas("doctor")
    assert code == 0, out + err
    assert "wrong" not in out
    for name, value, said in (
        ("BREGNAS_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/x", "postgresql cannot be reached"),
        ("BREGNAS_DATABASE_URL", "mysql://x", "BREGNAS_DATABASE_URL names no database"),
        ("BREGNAS_ARTIFACTS", "/proc/nowhere", "/proc/nowhere cannot be written"),
        ("BREGNAS_DATA", str(tmp_path / "none"), "BREGNAS_DATA"),
        ("PORT", str(_taken()), "is taken by another program"),
        ("HOST", "0.0.0.0", "asks for keys, and there is none"),
        ("BREGNAS_KEY", "bgk_" + "a" * 43, "does not let us in with the key of BREGNAS_KEY"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            code, out, _ = bregnas("doctor")
        assert (code, said in out) == (1, True), (name, out)
        assert "→" in out
    code, out, _ = bregnas("doctor", "--json", url="http://127.0.0.1:9")
    (found,) = (one for one in json.loads(out) if one["state"] == "wrong")
    assert (code, found["check"]) == (1, "service")
    assert "bregnas serve" in found["mend"]


def _taken() -> int:
    import socket

    _open.append(socket.create_server(("127.0.0.1", 0)))
    return _open[-1].getsockname()[1]


_open: list = []


def test_options_take_the_place_of_the_files_fields_and_set_of_both(tmp_path):
    path = tmp_path / "search.yaml"
    path.write_text(
        "superstructure: {kind: unet, levels: 3}\ntarget: {fraction: 0.5}\nseeds: [1, 2]\nbudget: {epochs: 3}\n"
    )
    typed = Given(
        from_=str(path), net="mlp", widths=[4], target_params=600, seed=5, metadata=["a=b=c"],
        set_=["budget.epochs=9", "task.kind=denoise", 'method={"lr": 0.1}'],
    )  # fmt: skip
    assert specification(typed) == {
        "superstructure": {"kind": "mlp", "widths": [4]}, "target": {"parameters": 600}, "seed": 5,
        "budget": {"epochs": 9}, "task": {"kind": "denoise"}, "method": {"lr": 0.1}, "metadata": {"a": "b=c"},
    }  # fmt: skip
    problem = APIError.of(
        422, {"code": "invalid_request", "errors": [{"loc": ["target", "parameters"], "msg": "no"}]}, ""
    )
    assert refused(problem, typed).problems == [("--target-params 600", "no")]
    assert [count(text) for text in ("300k", "1.5M", "7")] == [300_000, 1_500_000, 7]
    for wrong in ("0", "1.5", "k", "1e9999", "-3", "0x10", "3kk"):
        with pytest.raises(BadParameter):
            count(wrong)


def test_the_help_of_every_verb_can_be_read(bregnas):
    os.environ["COLUMNS"] = "100"
    _, out, _ = bregnas("--help")
    verbs = ["search", "estimate", "list", "show", "watch", "layers", "front", "compare", "architectures", "pause"]
    verbs += ["resume", "cancel", "clone", "download", "verify", "run", "push", "doctor", "login", "data", "demo"]
    assert all(f"│ {verb} " in out for verb in [*verbs, "serve", "worker", "keys", "migrate", "api"])
    for verb in verbs:
        code, out, _ = bregnas(verb, "--help")
        assert (code, "Usage" in out) == (0, True)
