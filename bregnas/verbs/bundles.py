"""The verbs of what was found: `bregnas download`, `verify`, `run`, `push`."""

import importlib.util
from pathlib import Path
from typing import Annotated, Any

import typer

from bregnas import running
from bregnas.bundle import Bundle
from bregnas.plain import plain
from bregnas.verbs.session import Exit, Usage, session

Path_ = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="A bundle: the zip, or the folder that it was unpacked to.")
]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="Let the bundle's own model.py run on this machine where ONNX Runtime is not here."),
]


def download(
    context: typer.Context,
    search_id: Annotated[str, typer.Argument(metavar="ID", help="The search: srch_…")],
    target: Annotated[Path, typer.Argument(metavar="PATH", help="A folder, or the name of the file.")] = Path(),
    candidate: Annotated[
        str | None, typer.Option(help="Not the winner's network but that of found, flat, …", show_default=False)
    ] = None,
) -> None:
    """Download the network that won, and check that it arrived as it was published; prints the file's name."""
    mine = session(context)
    with mine.client() as client:
        try:
            path = client.searches.get(search_id).download(target, candidate)
        except OSError as error:
            raise Usage(f"{target} cannot be written: {error.strerror or error}") from error
    if mine.json:
        mine.show({"object": "download", "path": str(path), "size": path.stat().st_size})
    else:
        typer.echo(plain(path))
    mine.say(f"run it with: bregnas run {plain(path)} IMAGE")


def verify(context: typer.Context, path: Path_, trust: Trust = False) -> None:
    """Check a bundle: every file's hash, and the network's answers to the samples in it."""
    mine = session(context)
    bundle = Bundle(path)
    wrong = bundle.differences()
    report: dict[str, Any] = {"object": "verification", "differences": wrong}
    if not wrong:
        replay = running.replay(bundle, running.runtime(trust))
        report |= {"runtime": replay.runtime, "largest_difference": replay.difference, "allowed": replay.allowed}
        if not replay.agrees:
            wrong.append(
                f"the network's answers to the recorded samples differ by {replay.difference:.3g}, "
                f"more than {replay.allowed:.3g}"
            )
    if mine.json:
        mine.show(report)
    else:
        for line in wrong:
            typer.echo(plain(line))
        if not wrong:
            typer.echo(
                f"{plain(path)} is as it was published; {report['runtime']} differs by "
                f"{report['largest_difference']:.1e} from the recorded outputs"
            )
    if wrong:
        raise typer.Exit(Exit.DIFFERS)


def run(
    context: typer.Context,
    path: Path_,
    source: Annotated[Path, typer.Argument(metavar="IMAGE|FOLDER", help="An image, or a folder of images.")],
    target: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE|FOLDER",
            help="Where the results go; else beside you, named after the task.",
            show_default=False,
        ),
    ] = None,
    trust: Trust = False,
) -> None:
    """Run a network on an image or a folder of them; prints the files that it wrote, or the classes that it saw.

    With ONNX Runtime where that is here, else with PyTorch. A network that is not as it was published is not run (7).
    """
    mine = session(context)
    bundle = Bundle(path)
    if damaged := [wrong for wrong in bundle.differences() if wrong.startswith("model.")]:
        for wrong in damaged:
            mine.say(wrong)
        mine.say("download it again with: bregnas download ID")
        raise typer.Exit(Exit.DIFFERS)
    network = running.network(bundle, running.runtime(trust))
    with network:
        for file, written in running.places(source, target, network.task):
            try:
                said = network.image(file, written)
            except (OSError, ValueError) as error:
                raise Usage(f"{file}: {error}") from error
            if mine.json:
                mine.show({"object": "output", "input": str(file), **said})
            elif "output" in said:
                typer.echo(plain(said["output"]))
            else:
                typer.echo(f"{plain(file)}: class {said['class']}, probability {said['probability']:.3f}")


def push(
    context: typer.Context,
    path: Path_,
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on the Hugging Face Hub.")],
    private: Annotated[bool, typer.Option("--private", help="Make it a private one, where it is new.")] = False,
) -> None:
    """Put a bundle on the Hugging Face Hub; needs the package huggingface_hub, and you logged in there."""
    mine = session(context)
    bundle = Bundle(path)
    if wrong := bundle.differences():
        raise Usage(f"{path} is not as it was published, and is not pushed: {'; '.join(wrong)}")
    if importlib.util.find_spec("huggingface_hub") is None:
        raise Usage(
            "push needs the package huggingface_hub: pip install huggingface_hub, then log in with: hf auth login"
        )
    import huggingface_hub

    with bundle.unpacked() as folder:
        try:
            made = huggingface_hub.create_repo(repository, private=private, exist_ok=True)
            huggingface_hub.upload_folder(
                repo_id=made.repo_id, folder_path=folder, commit_message="A bundle of Bregnas"
            )
        except Exception as error:  # whatever the hub's client raises, its words are all that there is to say
            raise Usage(f"the Hub did not take it: {error}") from error
    mine.show({"object": "push", "url": str(made)}) if mine.json else typer.echo(plain(made))
