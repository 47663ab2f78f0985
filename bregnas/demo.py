"""`bregnas demo`: the whole path on one machine, as a stranger would go it over HTTP.

Starts the service on its embedded defaults, posts a search, shows the architecture emerge, downloads the network it
found, runs it where this project cannot be imported, and stops what it started.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console

from bregnas import alone
from bregnas.client import Bregnas, Search
from bregnas.demo_pictures import pictures, summary
from bregnas.emerging import Emerging

# Settings under which an hour-glass emerges by itself: no width is drawn or forced. See docs/results.md.
MLP: dict[str, Any] = {
    "name": "demo: a denoising autoencoder",
    "superstructure": {"kind": "mlp", "widths": [784] * 5, "activation": "silu", "group_head": True},
    "task": {"kind": "denoise", "sigma": 0.2},
    "data": "mnist-5k",
    "method": {"lr": 0.003, "lam": 0.08, "density": 0.05, "init_scale": 2.0, "schedule": "cosine"},
    "budget": {"epochs": 24, "batch_size": 64},
    "finetune": {"epochs": 24, "lr": 0.001},
    "compare": ["linear"],
    "seed": 3,
}
# A size is asked for, and channels move to where they are worth more. See docs/unet.md.
UNET: dict[str, Any] = {
    "name": "demo: a denoising U-Net",
    "superstructure": {"kind": "unet", "levels": 3, "base": 24, "growth": 1.5, "residual": True},
    "task": {"kind": "denoise", "sigma": 0.1},
    "data": "photos",
    "target": {"parameters": 10_000},
    "method": {"lr": 0.002},
    "budget": {"epochs": 8, "batch_size": 8, "crop": 40},
    "finetune": {"epochs": 8, "lr": 0.002},
    "compare": ["flat"],
    "seed": 1,
}
_MARK = ".bregnas-demo"  # a folder with this file in it may be made anew
START_S = 30.0
POLL_S = 0.3


def demo(
    folder: Annotated[Path, typer.Option(help="Where the results go; made anew.")] = Path("demo-output"),
    unet: Annotated[bool, typer.Option("--unet", help="Search a U-Net that denoises photos.")] = False,
) -> None:
    """Search a denoising autoencoder on 5,000 real MNIST images, from POST to a network that runs alone."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    began = time.monotonic()
    home = folder.resolve() / "home"
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        typer.echo(f"{folder} is there and was not made by a demo; name another with --folder", err=True)
        raise typer.Exit(2)
    shutil.rmtree(folder, ignore_errors=True)
    home.mkdir(parents=True)
    (folder / _MARK).touch()
    with _service(home, console) as url, Bregnas(url, key="") as client:
        search = client.searches.create(UNET if unet else MLP)
        console.print(f"POST /v1/searches → {search.id}")
        with Emerging(console) as view:
            search = search.wait(on_change=view.update, longest_s=POLL_S)
        history = search.history()
        archive = search.download(folder, candidate="found")
        console.print(f"GET …/model?candidate=found → {archive.name}, hash as published")
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(folder)
        inside = folder / Path(bundle.namelist()[0]).parts[0]
    from bregnas.plots import growth, triptych

    ran = _run_on_photo(inside, folder, search, console) if unet else _run_alone(inside, folder, console)
    picture = growth(history.model_dump(), folder / "architecture.png")
    example = triptych(ran["example"], folder / "example.png")
    summary(console, search, ran)
    if not unet:
        pictures(console, ran["example"])
    console.print(
        f"network   {archive}\nlayers    {inside / 'architecture.svg'}\npicture   {picture}\nexample   {example}",
        soft_wrap=True,
    )
    console.print(f"[dim]{time.monotonic() - began:.0f} s in all[/]")


@contextmanager
def _service(home: Path, console: Console) -> Iterator[str]:
    """The API and one worker on a free port, stopped afterwards whatever happens."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    log = home.parent / "service.log"
    environment = {**os.environ, "BREGNAS_HOME": str(home), "HOST": "127.0.0.1", "PORT": str(port)}
    for name in ("BREGNAS_DATABASE_URL", "BREGNAS_ARTIFACTS"):
        environment.pop(name, None)
    with log.open("wb") as output:
        service = subprocess.Popen(
            [sys.executable, "-m", "bregnas.cli", "serve"], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _await(url, service, log)
            console.print(f"the service answers at {url} [dim](log: {log})[/]")
            yield url
        finally:
            service.send_signal(signal.SIGINT)
            service.wait(60)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(url: str, service: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and service.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    typer.echo(f"the service did not start; its log says:\n{log.read_text(errors='replace')[-2000:]}", err=True)
    raise typer.Exit(1)


def _run_alone(bundle: Path, folder: Path, console: Console, *images: Path) -> dict[str, Any]:
    """Run the network in PyTorch and ONNX Runtime in a process that cannot import this project.

    With two image files, it also makes the second from the first.
    """
    script = folder / "run_alone.py"
    script.write_text(Path(alone.__file__).read_text())
    run = subprocess.run(
        [sys.executable, str(script.resolve()), *(str(image.resolve()) for image in images)],
        cwd=bundle,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        typer.echo(f"the downloaded network does not run: {run.stderr[-2000:]}", err=True)
        raise typer.Exit(1)
    ran: dict[str, Any] = json.loads(run.stdout)
    console.print(
        f"ran it without this project: PyTorch differs by {ran['pytorch']:.1e} from what was recorded, "
        f"ONNX Runtime by {ran['onnx']:.1e}"
    )
    return ran


def _run_on_photo(bundle: Path, folder: Path, search: Search, console: Console) -> dict[str, Any]:
    """Run the network alone on a whole noisy photo that it has not seen, and show that as the example."""
    from bregnas import photo

    clean, noisy = photo.write(folder, search.spec["task"]["sigma"])
    denoised = folder / "denoised.png"
    ran = _run_alone(bundle, folder, console, noisy, denoised)
    images = {"noisy": noisy, "denoised": denoised, "clean": clean}
    height, width, _ = photo.read(clean).shape
    console.print(
        f"a whole photo of {width} × {height} pixels, which no search has seen: PSNR of "
        f"{photo.psnr(noisy, clean):.2f} dB in, {photo.psnr(denoised, clean):.2f} dB out",
        highlight=False,
    )
    return ran | {"example": {name: photo.read(path) for name, path in images.items()}}
