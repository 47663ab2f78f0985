"""The client against a real service: from a folder of PNGs to a network, blocking and awaited."""

import asyncio
import hashlib
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import pytest

from bregnas import APIError, AsyncBregnas, Bregnas, DownloadDiffers, SearchCancelled, SearchFailed, WaitTimeout, calls
from bregnas.profiles import Access, ProfileInvalid, access, file, save

from .conftest import SEARCH

pytestmark = pytest.mark.trains


@contextmanager
def meddling(url: str, meddle):
    """A proxy that passes bytes on and lets `meddle(connection number, bytes so far, piece)` change or end them."""
    port = int(url.rpartition(":")[2])
    listening = socket.create_server(("127.0.0.1", 0))
    count = [0]

    def pass_on(source, target, change):
        total = 0
        try:
            while piece := source.recv(4096):
                passed = change(total, piece)
                total += len(passed)
                target.sendall(passed)
                if len(passed) < len(piece):
                    break
        except OSError:
            pass
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def accept():
        while True:
            try:
                caller, _ = listening.accept()
            except OSError:
                return
            number, count[0] = count[0], count[0] + 1
            service = socket.create_connection(("127.0.0.1", port))
            back = lambda total, piece, number=number: meddle(number, total, piece)  # noqa: E731
            threading.Thread(target=pass_on, args=(caller, service, lambda _, piece: piece), daemon=True).start()
            threading.Thread(target=pass_on, args=(service, caller, back), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    listening.close()


def test_a_folder_of_pngs_becomes_a_module(service, finished, pngs, tmp_path):
    import torch

    done, seen = finished
    assert done.status == seen[-1].status == "succeeded"
    with Bregnas(service.url) as client:
        data = client.datasets.add(pngs)  # zipped twice, the same bytes
        assert (data.id, data.count, data.name) == (done.spec["data"], 30, "my-images.zip")
        assert client.searches.estimate(SEARCH, data=data).target == 600
        kinds = [event.kind for event in done.watch()]
        assert (kinds[0], kinds[-1]) == ("queued", "succeeded")
        archive = done.download(tmp_path)
        bundle = next(a for a in done.artifacts() if a.name == archive.name)
        assert hashlib.sha256(archive.read_bytes()).hexdigest() == bundle.sha256
        with pytest.raises(PermissionError, match="trust=True"):
            done.model()
        network = done.model(trust=True)
        assert network(torch.zeros(1, 1, 37, 53)).shape == (1, 1, 37, 53)
        assert sum(parameter.numel() for parameter in network.parameters()) <= 600
        assert done.history().layers[0].width == 6
        assert [entry.k for entry in done.path()] == list(range(len(done.path())))
        assert {one.search_id for one in client.architectures.list(won=True, task="denoise")} == {done.id}

    async def awaited():
        async with AsyncBregnas(service.url) as other:
            same = await other.searches.get(done.id)
            ended, events = await asyncio.gather(same.wait(60), _all(same.watch()))
            path = await ended.download(tmp_path / "async.zip")
            return (await other.datasets.add(pngs)).id, events, path, await ended.model(trust=True)

    same, events, path, found = asyncio.run(awaited())
    assert same == data.id
    assert [event.kind for event in events] == kinds
    assert path.read_bytes() == archive.read_bytes()
    for one, other in zip(found.parameters(), network.parameters(), strict=True):
        assert torch.equal(one, other)


async def _all(events):
    return [event async for event in events]


def test_ends_that_are_no_network_are_raised_and_lists_come_page_by_page(service, finished, failed, monkeypatch):
    done, _ = finished
    with Bregnas(service.url) as client:
        clone = done.clone(name="a clone", priority=-1)
        with pytest.raises(WaitTimeout):
            clone.wait(0.1)
        assert clone.cancel().status in ("cancelled", "cancelling")  # as far as it had begun
        with pytest.raises(SearchCancelled):
            clone.wait(60)
        monkeypatch.setattr(calls, "_MOST", 1)
        listed = [one.id for one in client.searches.list()]
        assert (listed[0], listed[-1], failed.id in listed) == (clone.id, done.id, True)
        assert len(set(listed)) == len(listed) > 2
        assert [one.id for one in client.searches.list(most=1)] == [clone.id]
        assert [one.id for one in client.searches.list(metadata={"kind": "doomed"})] == [failed.id]
        with pytest.raises(SearchFailed) as ended:
            failed.wait(300)
        assert ended.value.code == "time_limit"
        with pytest.raises(APIError, match="no_model"):
            failed.download()
        with pytest.raises(APIError) as told:
            client.searches.create(SEARCH, data="digits", budget={"epochs": 0})
        assert (told.value.status, told.value.errors[0].loc) == (422, ("budget", "epochs"))
        assert told.value.request_id.startswith("req_")


def test_a_watch_and_a_download_go_on_where_the_connection_breaks_and_a_changed_byte_is_noticed(
    service, finished, tmp_path
):
    done, _ = finished
    events = [event.id for event in done.watch()]
    whole = done.download(tmp_path / "whole.zip").read_bytes()

    def breaks(number, total, piece):
        return piece[: max(0, 3000 * (number + 1) - total)]

    def lies(number, total, piece):
        return piece[:-1] + bytes([piece[-1] ^ 1]) if total > 8000 else piece

    with meddling(service.url, breaks) as url, Bregnas(url) as client:
        assert [event.id for event in client._watch(done.id, 0)] == events
    with meddling(service.url, lambda n, total, piece: b"" if n < 2 and total > 9000 else piece) as url:
        parts = Bregnas(url)._download(calls.model(done.id, None), tmp_path / "parts.zip")
        assert parts.read_bytes() == whole
    with meddling(service.url, lies) as url, pytest.raises(DownloadDiffers):
        Bregnas(url)._download(calls.model(done.id, None), tmp_path / "lie.zip")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["parts.zip", "whole.zip"]


def test_the_key_of_a_profile_is_for_its_address_and_for_nobody_else_to_read(monkeypatch):
    save("default", Access("https://bregnas.example.org", "bgk_1"))
    assert access() == Access("https://bregnas.example.org", "bgk_1", str(file()))
    assert access("http://elsewhere").key is None
    monkeypatch.setenv("BREGNAS_KEY", "bgk_2")
    assert access().key == "bgk_2"
    assert "bgk" not in repr(access())
    assert file().stat().st_mode & 0o777 == 0o600
    file().chmod(0o640)
    with pytest.raises(ProfileInvalid, match="chmod 600"):
        access()


def test_the_client_loads_neither_torch_nor_numpy():
    script = "import sys, bregnas, bregnas.cli; print({'torch', 'numpy', 'PIL', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
