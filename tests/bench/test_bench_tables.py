"""How the tables say who won, and on what evidence."""

import torch

from bench import tables
from bench.front import nearest
from bench.published import AUTHORS, share, sparse_weights_
from bench.unet_tables import unets
from models.network import Network


def candidate(name: str, losses: list[float], full: bool = True) -> dict:
    mean = sum(losses) / len(losses)
    spread = 0.0005 if len(losses) > 1 else None
    return {
        "name": name, "validation": {"loss": mean, "psnr": 20.0}, "test": {"loss": mean, "psnr": 19.0},
        "spread": spread, "trained_in_full": full, "widths": [4, 3], "parameters": 100,
    }  # fmt: skip


RUN = {
    "part": "candidates", "task": "denoise", "data": "mnist", "percent": 5, "winner": "flat", "tie": False,
    "candidates": [
        candidate("flat", [0.010, 0.011, 0.012]), candidate("random", [0.02], full=False), candidate("found", [0.0121]),
    ],
}  # fmt: skip


def row(table: str, *begin: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith("| " + " | ".join(begin) + " |")]
    return [cell.strip() for cell in line.strip("|").split("|")][len(begin) :]


def test_the_winner_is_bold_and_who_was_left_behind_in_brackets():
    cells = row(tables.candidates([RUN]), "denoise", "mnist", "5 %")
    assert cells == ["–", "**.0110 ± .0005**", "–", "(.0200)", "–", ".0121"]


def test_what_has_no_record_is_said():
    assert "not measured yet" in row(tables.candidates([RUN]), "denoise", "mnist", "10 %")[0]
    assert "not measured yet" in tables.front([RUN])


def test_wins_are_counted_by_task():
    table = tables.wins([RUN, RUN | {"task": "classify", "winner": "found", "tie": True}])
    assert row(table, "flat") == ["1", "0", "0", "1", "0"]
    assert row(table, "found") == ["0", "0", "1", "1", "1"]


def test_found_is_set_against_the_best_of_the_others():
    cells = row(tables.behind([RUN]), "denoise", "mnist", "5 %")
    assert cells == ["flat", "4, 3", "4, 3", "+10.0 %", "19.00 dB, 19.00 dB"]


def test_the_nearest_size_is_so_by_its_ratio():
    path = [{"parameters": 10}, {"parameters": 40}]
    assert [nearest(path, size) for size in (5, 19, 21, 80)] == [0, 0, 1, 1]


def test_a_sparse_start_keeps_a_share_of_the_single_weights():
    network = Network(AUTHORS.graph((1, 28, 28), (10,)))
    sparse_weights_(network, 0.1, 7.0, torch.Generator().manual_seed(1))
    assert abs(share(network) - 0.1) < 0.005
    kept = network.layer(network.graph["hidden1"]).weight
    assert abs(kept[kept != 0].std() / (7 * (2 / 784) ** 0.5) - 1) < 0.02


def test_a_row_of_a_unet_says_who_won_what_was_left_behind_and_how_seeds_differ():
    def row(name, full, *pairs):
        seeds = [{"validation": {"loss": loss}, "test": {"psnr": psnr, "loss": 0.0}} for loss, psnr in pairs]
        sizes = {"parameters": 9957, "macs": 209_721_150, "widths": [15, 14]}
        return {"name": name, "trained_in_full": full, "seeds": seeds, **sizes}

    candidates = [row("found", True, (0.00174, 29.21), (0.00176, 29.13)), row("flat", False, (0.00249, 26.9))]
    run = {"part": "unets", "task": "denoise", "parameters": 10_000, "winner": "found", "tie": True}
    lines = unets([{**run, "candidates": candidates}]).splitlines()
    assert lines[2] == (
        "| denoise | 10,000 | **found** (a tie) | 9,957 | 210 M | 15, 14 | 0.00175 ± 0.00001 | 29.17 ± 0.06 dB |"
    )
    assert lines[3] == "|  |  | flat | 9,957 | 210 M | 15, 14 | (0.00249) | (26.90 dB) |"
    assert "not measured yet" in lines[4]
