"""One real service that asks for keys, with real searches, and one real browser that is let in."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from ..service import Service, serving
from .browser import CHROMIUM, MISSING, browsing

SHOWN_MS = 60_000
"""Until something is shown; a busy machine is slow, and a test that passes does not wait."""
TRAINED_MS = 300_000
"""Until a search has come so far."""

CLI = [sys.executable, "-m", "bregnas.cli"]
HOSTILE = '<img src=x onerror="window.hacked = 1"> & "friends"'

MLP: dict[str, Any] = {
    "name": HOSTILE,
    "superstructure": {"kind": "mlp", "widths": [24, 16, 24]},
    "target": {"parameters": 1500},
    "method": {"lr": 0.003},
    "budget": {"epochs": 6, "batch_size": 64},
    "finetune": {"epochs": 1},
    "compare": [],
    "metadata": {"project": "<b>x</b>"},
}
UNET: dict[str, Any] = {
    "name": "tiny U-Net",
    "superstructure": {"kind": "unet", "levels": 2, "base": 4, "residual": True},
    "task": {"kind": "denoise", "sigma": 0.1},
    "data": "photos",
    "method": {"lr": 0.002},
    "budget": {"epochs": 2, "batch_size": 16, "crop": 32, "crops_per_image": 1},
    "target": {"fraction": 0.5},
    "finetune": {"epochs": 0},
    "compare": [],
}
FAILING: dict[str, Any] = {"name": "too short", "budget": {"epochs": 100_000, "time_limit_s": 1}}
ENDLESS: dict[str, Any] = {"name": "endless", "budget": {"epochs": 100_000, "batch_size": 32}}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if CHROMIUM is None and here in item.path.parents and "service" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=MISSING))


@dataclasses.dataclass
class Site:
    """The service, a key to it, and the searches that are over."""

    service: Service
    key: str
    mlp: dict[str, Any]
    unet: dict[str, Any]
    failed: dict[str, Any]

    def url(self, path: str) -> str:
        return self.service.url + path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    home = tmp_path_factory.mktemp("page")
    environment = {"BREGNAS_HOME": str(home), "BREGNAS_REQUIRE_KEY": "1"}
    for verb in (["migrate"], ["keys", "make", "page"]):
        made = subprocess.run(
            [*CLI, *verb], env={**os.environ, **environment}, capture_output=True, text=True, check=True
        )
    key = next(word for word in made.stdout.split() if word.startswith("bgk_"))
    with serving(home, BREGNAS_REQUIRE_KEY="1") as running:
        running.client.headers["Authorization"] = f"Bearer {key}"
        yield running, key


@pytest.fixture(scope="module")
def site(service: tuple[Service, str]) -> Site:
    running, key = service
    posted = [running.post(**spec) for spec in (MLP, UNET, FAILING)]
    return Site(running, key, *(running.wait_over(one["id"], TRAINED_MS / 1000) for one in posted))


@pytest.fixture(scope="module")
def endless(site: Site) -> dict[str, Any]:
    """A search that runs until somebody ends it."""
    return site.service.post(**ENDLESS)


@pytest.fixture(scope="module")  # while it is open a loop of its own runs, and no other test's can
def browser(service: tuple[Service, str]) -> Iterator[Browser]:
    with browsing() as running:
        yield running


@pytest.fixture
def stranger(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that has shown no key."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SHOWN_MS)
    expect.set_options(timeout=SHOWN_MS)
    yield context
    context.close()


@pytest.fixture
def page(stranger: BrowserContext, site: Site) -> Iterator[Page]:
    """A page of a browser that is let in. Nothing in it may break the content security policy, or throw."""
    stranger.request.post(site.url("/session"), data={"key": site.key}, headers={"Origin": site.service.url})
    wrong: list[str] = []
    page = stranger.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if "Security Policy" in message.text else None)
    yield page
    assert wrong == []
    assert page.evaluate("window.hacked") is None
