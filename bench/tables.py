"""The tables of docs/results.md, each made from the records of bench.measure."""

from collections.abc import Callable, Sequence
from typing import Final

from bench import markdown
from bench.baselines import METHODS
from bench.published import THEIRS
from bench.records import Record
from bench.selection import selections
from bench.sizes import ALL, SETS, TASKS
from bench.unet_tables import convnets, denoisers, kernels, pruned, unets
from bench.wake import waking

PERCENTS: Final = (1, 2, 5, 10, 20)
NAMES: Final = (*(name for name in ALL if name != "scaled"), "found")  # a flat superstructure scaled is flat
METRICS: Final = {"denoise": "psnr", "autoencode": "psnr", "classify": "accuracy"}

Records = Sequence[Record]


def targets(records: Records) -> str:
    """What size was asked for and what came."""
    rows = []
    for data in SETS:
        for percent in (*PERCENTS, 50):
            runs = _of(records, "targets", data=data, percent=percent)
            if not runs:
                rows.append([data, f"{percent} %", markdown.MISSING, *[""] * 4])
                continue
            reached = [f"{run['target']['reached']:,}" for run in runs]
            least = min(run["target"]["share"] for run in runs)
            rows.append(
                [
                    data, f"{percent} %: {runs[0]['target']['limit']:,}", ", ".join(reached), f"{100 * least:.2f} %",
                    "; ".join(markdown.widths(run["widths"].values()) for run in runs),
                    ", ".join(markdown.loss(run["shrunk"]["validation"]["loss"]) for run in runs),
                    ", ".join(markdown.loss(run["candidates"][0]["validation"]["loss"]) for run in runs),
                ]
            )  # fmt: skip
    head = ["data", "asked for", "reached", "at least", "widths", "loss, as searched", "fine-tuned"]
    return markdown.table(head, rows)


def candidates(records: Records) -> str:
    """Validation losses of all candidates: mean ± standard deviation where a whole training tells them."""
    rows = []
    for task in TASKS:
        for data in SETS:
            for percent in PERCENTS:
                (run, *_) = _of(records, "candidates", data=data, task=task, percent=percent) or [None]
                label = [task, data, f"{percent} %"]
                if run is None or "failed" in run:
                    rows.append([*label, markdown.MISSING if run is None else run["failed"], *[""] * (len(NAMES) - 1)])
                    continue
                by_name = {row["name"]: row for row in run["candidates"]}
                rows.append(label + [_candidate(by_name.get(name), run) for name in NAMES])
    return markdown.table(["task", "data", "size", *NAMES], rows)


def wins(records: Records) -> str:
    """How often each candidate won, by task."""
    runs = [run for run in _of(records, "candidates") if "failed" not in run]
    rows = []
    for name in NAMES:
        won = [run for run in runs if run["winner"] == name]
        by_task = [f"{sum(run['task'] == task for run in won)}" for task in TASKS]
        rows.append([name, *by_task, f"{len(won)}", f"{sum(run['tie'] is True for run in won)}"])
    of = ["of", *[f"{sum(run['task'] == task for run in runs)}" for task in TASKS], f"{len(runs)}", ""]
    return markdown.table(["winner", *TASKS, "all", "of these ties"], [*rows, of])


def behind(records: Records) -> str:
    """What was found against the best of the others."""
    rows = []
    for run in _of(records, "candidates"):
        if "failed" in run:
            continue
        found = next(row for row in run["candidates"] if row["name"] == "found")
        best = next(row for row in run["candidates"] if row["name"] != "found")
        metric = METRICS[run["task"]]
        gap = found["validation"]["loss"] / best["validation"]["loss"] - 1
        rows.append(
            [
                run["task"], run["data"], f"{run['percent']:g} %", best["name"], markdown.widths(best["widths"]),
                markdown.widths(found["widths"]), f"{100 * gap:+.1f} %" if gap < 100 else f"{gap:.0e} times",
                f"{markdown.metric(best['test'][metric], metric)}, {markdown.metric(found['test'][metric], metric)}",
            ]
        )  # fmt: skip
    head = [
        "task",
        "data",
        "size",
        "best of the others",
        "its widths",
        "found",
        "found is above by",
        "test: its, found's",
    ]
    return markdown.table(head, rows)


def twice(records: Records) -> str:
    """How much twice the epochs of fine-tuning still gain, on the first seed."""
    rows = []
    for task in TASKS:
        for run in _of(records, "twice", task=task):
            once = _of(records, "candidates", data=run["data"], task=task, percent=run["percent"])
            for name in NAMES:
                pair = [_full_loss(one, name) for one in (*once, run)]
                if len(pair) == 2 and None not in pair:
                    rows.append(_gain([task, run["data"], f"{run['percent']:g} %", name], *pair))  # type: ignore[arg-type]
    return markdown.table(["task", "data", "size", "candidate", "loss", "with twice the epochs", "change"], rows)


def front(records: Records) -> str:
    """The networks on one search's path, trained on, against searches of their own."""
    rows = []
    for run in _fronts(records):
        for size in run["sizes"]:
            on, separate = (size[name]["validation"]["loss"] for name in ("on", "separate"))
            rows.append(
                [
                    _start(run), f"{run['seed']}", ", ".join(map(str, size["asked"])) + " %",
                    f"{100 * size['share']:.2f} %", f"{size['epoch']}", markdown.widths(size["widths"]),
                    markdown.widths(size["separate"]["widths"]), markdown.loss(size["validation"]["loss"]),
                    markdown.loss(on), markdown.loss(separate), f"{100 * (on / separate - 1):+.1f} %",
                ]
            )  # fmt: skip
    head = [
        "start", "seed", "nearest to", "is", "met in epoch", "widths", "widths of a search of its own", "loss when met",
        "trained on", "search of its own", "gap",
    ]  # fmt: skip
    return markdown.table(head, rows)


def front_cost(records: Records) -> str:
    """What one search and its front cost, in epochs of the superstructure."""
    rows = []
    for run in _fronts(records):
        epochs = run["epochs"]
        tuned = [1.95 * epochs / 2 * size["share"] for size in run["sizes"]]
        one, path = epochs + tuned[-1], epochs + sum(tuned)
        separate = len(tuned) * epochs + sum(tuned)
        active = (run["searched"] + sum(tuned)) / (run["searched"] + tuned[-1])
        rows.append(
            [
                _start(run), f"{run['seed']}", f"{len(tuned)}", f"{one:.1f}", f"{path:.1f} = {path / one:.2f} ×",
                f"{separate:.1f} = {separate / one:.2f} ×", f"{active:.2f} ×",
            ]
        )  # fmt: skip
    head = [
        "start",
        "seed",
        "sizes",
        "one search to 20 %",
        "with its front",
        "a search a size",
        "front, active parts alone",
    ]
    return markdown.table(head, rows)


def _fronts(records: Records) -> list[Record]:
    return sorted(_of(records, "front"), key=lambda run: (run["density"] is not None, run["seed"]))


def _start(run: Record) -> str:
    return "default" if run["density"] is None else f"density {run['density']:g}"


def published(records: Records) -> str:
    """The authors' classifier by single weights."""
    rows = []
    forms = dict.fromkeys((run["optimizer"], run.get("raw", False)) for run in _of(records, "published"))
    for optimizer, raw in sorted(forms):
        runs = [run for run in _of(records, "published", optimizer=optimizer) if run.get("raw", False) == raw]
        last = [run["epochs"][-1]["validation"]["metric"] for run in runs]
        rows.append(
            [
                optimizer, "raw" if raw else "standardised", THEIRS[optimizer],
                ", ".join(f"{100 * value:.1f}" for value in last) + " %",
                ", ".join(f"{100 * run['share']:.1f}" for run in runs) + " %",
                f"{markdown.spread([100 * run['test']['metric'] for run in runs], '.2f')} %",
            ]
        )  # fmt: skip
    head = ["optimiser", "inputs", "theirs: validation, weights", "ours: validation", "weights", "ours: test"]
    return markdown.table(head, rows)


def classifier(records: Records) -> str:
    """The same classifier by neurons, through the service."""
    rows = []
    for run in _of(records, "classifier"):
        for row in run["candidates"]:
            validation = [100 * seed["validation"]["accuracy"] for seed in row["seeds"]]
            test = [100 * seed["test"]["accuracy"] for seed in row["seeds"]]
            rows.append(
                [
                    f"{run['percent']:g} %: {run['target']['limit']:,}", row["name"], markdown.widths(row["widths"]),
                    f"{row['parameters']:,}", f"{markdown.spread(validation, '.2f')} %",
                    f"{markdown.spread(test, '.2f')} %", "" if row["trained_in_full"] else "left behind in the race",
                ]
            )  # fmt: skip
    return markdown.table(["asked for", "candidate", "widths", "parameters", "validation", "test", ""], rows)


def autoencoders(records: Records) -> str:
    """The authors' autoencoders, and ours of 200,000 parameters, as many epochs."""
    rows = []
    for run in _of(records, "autoencoder"):
        if "failed" in run:
            rows.append([run["task"], run["form"], run["failed"], *[""] * 6])
            continue
        shrunk, spec = run["shrunk"], run["spec"]
        for row in run["candidates"]:
            published = run["form"] == "published"
            scores = shrunk["validation"] if published else row["validation"]
            rows.append(
                [
                    run["task"], "published" if published else f"ours: {row['name']}",
                    f"{spec['seed']}" if published else markdown.seeds(len(row["seeds"])),
                    markdown.widths(row["widths"]), f"{row['parameters']:,}", _candidate(row, run),
                    f"{scores['psnr']:.2f} dB", f"{row['test']['psnr']:.2f} dB",
                ]
            )  # fmt: skip
    head = ["task", "network", "seed", "widths", "parameters", "validation MSE", "PSNR", "test"]
    return markdown.table(head, rows)


def delivered(records: Records) -> str:
    """The demo's networks to the end, beside others of their size."""
    rows = []
    for run in _of(records, "delivered"):
        for row in run["candidates"]:
            for seed in row["seeds"]:
                test, validation = seed["test"], seed["validation"]
                rows.append(
                    [
                        run["method"], row["name"], f"{seed['seed']}", markdown.widths(seed["widths"]),
                        f"{seed['parameters']:,}", f"{markdown.loss(validation['loss'])}, {validation['psnr']:.2f} dB",
                        f"{markdown.loss(test['loss'])}, {test['psnr']:.2f} dB",
                        "" if row["trained_in_full"] else "left behind",
                    ]
                )  # fmt: skip
    return markdown.table(["search", "candidate", "seed", "widths", "parameters", "validation", "test", ""], rows)


def comparison(records: Records) -> str:
    """What comparing costs, in whole trainings of the small network."""
    rows = []
    for part in ("candidates", "twice", "classifier", "delivered"):
        costs: dict[int, list[float]] = {}
        for run in _of(records, part):
            if "failed" not in run:
                epochs = sum(run["spec"][stage]["epochs"] for stage in ("budget", "finetune"))
                seeds = len(run["spec"]["seeds"])
                costs.setdefault(seeds, []).append(run["comparison_epochs"] / epochs)
        for seeds, values in costs.items():
            first = max(values) - (seeds - 1)
            rows.append([part, f"{len(values)}", f"{seeds}", f"{min(values):.2f} to {max(values):.2f}", f"{first:.2f}"])
    return markdown.table(["searches", "number", "seeds", "trainings in all", "at most, for the first seed"], rows)


def baselines(records: Records) -> str:
    """Optimisers side by side."""
    rows = []
    for name in dict.fromkeys(run["method"] for run in _of(records, "baselines")):
        runs = _of(records, "baselines", method=name)
        if any("failed" in run for run in runs):
            rows.append([name, ", ".join(run.get("failed") or "" for run in runs), *[""] * 5])
            continue
        whole = runs[0]["superstructure"]["parameters"]
        rows.append(
            [
                name, _settings(METHODS[name]),
                "; ".join(markdown.widths(run["widths"].values()) for run in runs),
                ", ".join(f"{100 * run['shrunk']['parameters'] / whole:.1f}" for run in runs) + " %",
                ", ".join(f"{run['dense_epochs']:.1f}" for run in runs),
                ", ".join(markdown.loss(run["search"][-1]["train_loss"]) for run in runs),
                ", ".join(f"{100 * run['shrunk']['validation']['accuracy']:.1f}" for run in runs) + " %",
            ]
        )  # fmt: skip
    head = [
        "optimiser",
        "settings",
        "widths",
        "parameters left",
        "dense epochs",
        "training loss",
        "validation accuracy",
    ]
    return markdown.table(head, rows)


TABLES: Final[dict[str, Callable[[Records], str]]] = {
    table.__name__.replace("_", "-"): table
    for table in (
        targets, candidates, wins, behind, twice, front, front_cost, published, classifier,
        autoencoders, delivered, comparison, baselines, unets, denoisers, pruned, convnets, kernels, waking,
        selections,
    )
}  # fmt: skip


def _of(records: Records, part: str, **wanted: object) -> list[Record]:
    found = [record for record in records if record.get("part") == part]
    found = [record for record in found if all(record[name] == value for name, value in wanted.items())]
    tasks, sets = list(TASKS), list(SETS)

    def order(record: Record) -> tuple[int, int, float, int]:
        task, data = record.get("task"), record.get("data")
        seed = record.get("seed", record.get("spec", {}).get("seed", 0))
        return (
            tasks.index(task) if task in tasks else 0,
            sets.index(data) if data in sets else 0,
            record.get("percent", 0),
            seed,
        )

    return sorted(found, key=order)


def _candidate(row: Record | None, run: Record) -> str:
    if row is None:
        return "–"
    loss = markdown.loss(row["validation"]["loss"])
    text = loss if row["spread"] is None else f"{loss} ± {markdown.loss(row['spread'])}"
    text = text if row["trained_in_full"] else f"({text})"
    return f"**{text}**" if run["winner"] == row["name"] else text


def _full_loss(run: Record, name: str) -> float | None:
    row = next((row for row in run["candidates"] if row["name"] == name), None)
    if row is None or not row["trained_in_full"] or name == "linear":
        return None
    return next(float(seed["validation"]["loss"]) for seed in row["seeds"] if seed["seed"] == 1)


def _gain(label: list[str], once: float, again: float) -> list[str]:
    return [*label, markdown.loss(once), markdown.loss(again), f"{100 * (again / once - 1):+.1f} %"]


def _settings(method: Record) -> str:
    signs = {"lam": "λ", "momentum": "β", "init_scale": "scale", "density": "r"}
    told = [f"{signs.get(name, name)} {value:g}" for name, value in method.items() if isinstance(value, int | float)]
    if "lam_schedule" in method:
        told[-1] += f" to {method['lam_schedule']['end']:g}"
    return ", ".join(told)
