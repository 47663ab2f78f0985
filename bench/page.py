"""How fast are the pages, and what do they look like?

    python -m bench.page                                  # figures
    python -m bench.page --screenshots [--url URL]        # docs/pictures/page, on searches that it runs (minutes)

Starts a service of its own, writes a search of 24 layers and 1,000 epochs into its database as a worker would, and
opens it in Chromium: the first paint of every page, and what each frame takes while the slider jumps in every one. A
frame of the display is 16.7 ms at 60 a second; `script` is our own part of it, `frame` what the browser needs for all
of it, which on a machine without a display and a GPU is drawn by the processor. Needs Debian's `chromium`.

With `--url` the screenshots are of the newest searches of a service that runs already and asks for no key.
"""

import argparse
import json
import math
import random
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page

from bench.machine import description
from store import searches
from store.attempts import Attempt
from store.database import connect, default_url, write
from tests.page.browser import browsing
from tests.service import serving

PICTURES = Path(__file__).parents[1] / "docs" / "pictures" / "page"
LAYERS, EPOCHS, FRAMES, VISITS = 24, 1000, 600, 5
MOST = 150_000  # bytes of a picture
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}

SEARCHES: list[dict[str, Any]] = [
    {
        "name": "small denoiser",
        "superstructure": {"kind": "mlp", "widths": [96, 96, 96]},
        "task": {"kind": "denoise", "sigma": 0.2},
        "data": "digits",
        "target": {"parameters": 8000},
        "method": {"lr": 0.003},
        "budget": {"epochs": 30, "batch_size": 32},
        "finetune": {"epochs": 20},
        "compare": ["linear", "flat", "scratch"],
    },
    {
        "name": "hour-glass",
        "superstructure": {"kind": "mlp", "widths": [784] * 5, "group_head": True},
        "task": {"kind": "denoise", "sigma": 0.25},
        "data": "mnist-5k",
        "method": {"lr": 0.003, "lam": 0.08, "density": 0.05, "init_scale": 2.0, "schedule": "cosine"},
        "budget": {"epochs": 24, "batch_size": 64},
        "finetune": {"epochs": 3},
        "compare": ["scratch"],
    },
    {
        "name": "too short",
        "superstructure": {"kind": "mlp", "widths": [96, 96, 96]},
        "task": {"kind": "denoise", "sigma": 0.2},
        "data": "digits",
        "budget": {"epochs": 100_000, "time_limit_s": 1},
    },
    {
        "name": "U-Net on photos",
        "superstructure": {"kind": "unet", "levels": 3, "base": 12, "residual": True},
        "task": {"kind": "denoise", "sigma": 0.15},
        "data": "photos",
        "target": {"parameters": 9000},
        "method": {"lr": 0.002},
        "budget": {"epochs": 16, "batch_size": 8, "crop": 48},
        "finetune": {"epochs": 4},
        "compare": ["scaled"],
    },
]

# Moves the slider by an epoch in every frame, as a hand would, and measures both.
_SCRUB = """async (frames) => {
    const input = document.querySelector('b-scrub input');
    const script = [], frame = [];
    let before = await new Promise(requestAnimationFrame);
    for (let i = 0; i < frames; i += 1) {
        const now = await new Promise(requestAnimationFrame);
        frame.push(now - before);
        before = now;
        const began = performance.now();
        input.value = (i * 7) % (Number(input.max) + 1);
        input.dispatchEvent(new Event('input', { bubbles: true }));
        script.push(performance.now() - began);
    }
    return { script, frame };
}"""
_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def main() -> None:
    """Measure, or take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screenshots", action="store_true", help="take the pictures of docs/page.md")
    parser.add_argument("--url", help="a service to take them of")
    given = parser.parse_args()
    with browsing() as browser:
        if given.screenshots:
            with _service(given.url) as url:
                _screenshots(browser, url)
        else:
            _figures(browser)


def _figures(browser: Browser) -> None:
    with tempfile.TemporaryDirectory() as home, serving(Path(home), workers=0) as service:
        long = _long(Path(home), service.client)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        paths = {"list": "/", "new": "/new", "search": f"/searches/{long}", "architectures": "/architectures"}
        paints = {name: [_paint(page, service.url + path) for _ in range(VISITS)] for name, path in paths.items()}
        page.goto(service.url + paths["search"])
        page.wait_for_selector("b-glass rect.fill")
        page.wait_for_timeout(1000)
        found = page.evaluate(_SCRUB, FRAMES)
    print(f"{LAYERS} layers x {EPOCHS} epochs, {FRAMES} frames, {VISITS} visits a page\n")
    print("| first paint, ms | median | worst |\n| --- | --- | --- |")
    for name, times in paints.items():
        print(f"| {name} | {statistics.median(times):.0f} | {max(times):.0f} |")
    print("\n| while scrubbing, ms | median | 95 % below | worst |\n| --- | --- | --- | --- |")
    for name in ("script", "frame"):
        times = sorted(found[name])
        print(f"| {name} | {statistics.median(times):.1f} | {times[int(0.95 * len(times))]:.1f} | {times[-1]:.1f} |")
    print(f"\nframes a second: {1000 / statistics.mean(found['frame']):.1f}")
    print(json.dumps({"machine": description(), "paint_ms": paints, "fps": 1000 / statistics.mean(found["frame"])}))


def _paint(page: Page, url: str) -> float:
    page.goto(url)
    page.wait_for_function(_PAINT)
    return float(page.evaluate(_PAINT))


def _long(home: Path, client: httpx.Client) -> str:
    """A search of many layers and epochs, whose counts follow a made-up course."""
    spec = {
        "name": "24 layers, 1,000 epochs",
        "superstructure": {"kind": "mlp", "widths": [400] * LAYERS},
        "task": {"kind": "denoise"},
        "data": "digits",
        "budget": {"epochs": EPOCHS},
    }
    made = client.post("/v1/searches", json=spec).raise_for_status().json()
    engine, dice = connect(default_url(home)), random.Random(1)
    attempt = Attempt(engine, made["id"], 1)
    attempt.start("wrkr_bench")
    attempt.running()
    for epoch in range(1, EPOCHS + 1):
        grown = 1 - math.exp(-4 * epoch / EPOCHS)
        active = [
            round(400 * grown * (0.15 + 0.6 * (2 * i / LAYERS - 1) ** 2) + 5 + dice.random() * 3) for i in range(LAYERS)
        ]
        attempt.record_epoch(
            stage="search", epoch=epoch, epochs=EPOCHS, active=[*active, 64], train_loss=0.1 / (1 + epoch / 50),
            validation_loss=0.11 / (1 + epoch / 50), parameters=sum(active) * 100,
        )  # fmt: skip
    with write(engine) as tx:
        searches.cancel(tx, made["id"])
    attempt.cancelled()
    engine.dispose()
    return str(made["id"])


@contextmanager
def _service(url: str | None) -> Iterator[str]:
    """A service with searches that are over, and one that runs."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory() as home, serving(Path(home)) as service:
        for spec in SEARCHES:
            made = service.client.post("/v1/searches", json=spec).raise_for_status().json()
            print(made["name"], service.wait_over(made["id"], 3600)["status"])
        yield service.url


def _screenshots(browser: Browser, url: str) -> None:
    listed = httpx.get(f"{url}/v1/searches", params={"limit": 50}).raise_for_status().json()["data"]
    done = [one for one in listed if one["status"] in ("succeeded", "running")]
    unet = next(one["id"] for one in done if one["spec"]["superstructure"]["kind"] == "unet")
    chains = [one for one in done if one["spec"]["superstructure"]["kind"] == "mlp"]
    glass, other = (one["id"] for one in sorted(chains, key=lambda one: -len(one["layers"]))[:2])
    views = {
        "searches": "/",
        "new": "/new",
        "hour-glass": f"/searches/{glass}",
        "u-net": f"/searches/{unet}",
        "architectures": "/architectures",
        "compare": f"/compare?a={glass}&b={other}",
        "key": "/key",
    }
    PICTURES.mkdir(parents=True, exist_ok=True)
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            page = context.new_page()
            for view, path in views.items():
                if view == "key":  # where none is asked for, this page leads on at once
                    page.route(
                        "**/session", lambda route: route.fulfill(status=401, json={"detail": "", "code": "no_key"})
                    )
                page.goto(url + path)
                page.wait_for_timeout(1500)
                file = PICTURES / f"{view}-{size}-{scheme}.png"
                page.screenshot(path=file, full_page=size == "desktop" and view != "key")
                _shrink(file)
            context.close()


def _shrink(file: Path) -> None:
    """With as many colours as there is room for, and smaller where that is not enough."""
    from PIL import Image

    picture = Image.open(file).convert("RGB")
    for share in (1.0, 0.8, 0.65, 0.5):
        size = round(picture.width * share), round(picture.height * share)
        resized = picture if share == 1 else picture.resize(size, Image.Resampling.LANCZOS)
        for colours in (256, 160):
            resized.quantize(colours, dither=Image.Dither.NONE).save(file, optimize=True)
            if file.stat().st_size <= MOST:
                return
    raise SystemExit(f"{file} is larger than {MOST:,} bytes")


if __name__ == "__main__":
    main()
