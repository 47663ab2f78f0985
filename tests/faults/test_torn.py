"""Checkpoints are damaged while nobody looks: the one before is used, or the search begins anew. Same result."""

import pytest

from store.checkpoints import last_checkpoint
from worker.snapshot import NAMES

pytestmark = pytest.mark.trains


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path):
    """Other bytes where weights should be; the length and the head are as they were."""
    content = bytearray(path.read_bytes())
    middle = len(content) - 2000
    content[middle : middle + 64] = bytes(byte ^ 0xFF for byte in content[middle : middle + 64])
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [halve, garble])
def test_the_checkpoint_before_a_damaged_one_is_used(machines, calm, damage):
    search_id = killed_on_its_way(machines)
    newest = machines.folder / "home" / "runs" / search_id / "1" / "checkpoints" / NAMES[0]
    damage(newest)
    machines.start("home")
    found = machines.wait_state(search_id, "succeeded", "failed")
    assert (found.state, found.attempt) == ("succeeded", 2), found.error_message
    assert machines.told(search_id, "started")[-1]["resumed"] is not None
    assert "checkpoint is damaged" in (machines.folder / "home.log").read_text() or damage is halve
    assert machines.bytes_of(search_id) == calm


def test_with_all_checkpoints_damaged_the_search_begins_anew(machines, calm):
    search_id = killed_on_its_way(machines)
    for name in NAMES:
        garble(machines.folder / "home" / "runs" / search_id / "1" / "checkpoints" / name)
    copy = last_checkpoint(machines.engine, search_id)
    assert copy is not None
    assert copy.key is not None
    halve(machines.folder / "artifacts" / copy.key)
    machines.start("home")
    found = machines.wait_state(search_id, "succeeded", "failed")
    assert (found.state, found.attempt) == ("succeeded", 2), found.error_message
    assert machines.told(search_id, "started")[-1]["resumed"] is None
    assert machines.bytes_of(search_id) == calm


def test_with_its_own_checkpoints_damaged_it_goes_on_from_the_copy(machines, calm):
    search_id = killed_on_its_way(machines)
    for name in NAMES:
        halve(machines.folder / "home" / "runs" / search_id / "1" / "checkpoints" / name)
    machines.start("home")
    found = machines.wait_state(search_id, "succeeded", "failed")
    assert (found.state, found.attempt) == ("succeeded", 2), found.error_message
    assert machines.told(search_id, "started")[-1]["resumed"] is not None
    assert machines.bytes_of(search_id) == calm


def killed_on_its_way(machines):
    worker = machines.start("home", BREGNAS_CHECKPOINT_S="0.05")
    search_id = machines.post()
    before = machines.folder / "home" / "runs" / search_id / "1" / "checkpoints" / NAMES[1]
    machines.wait(search_id, lambda s: s.state == "running" and (s.epoch or 0) >= 3 and before.exists())
    machines.wait(search_id, lambda s: machines.copy_of(search_id) is not None)
    trainers = machines.trainers(worker)
    for process in (worker, *trainers):
        process.kill()
    for process in (worker, *trainers):
        process.wait(30)
    return search_id
