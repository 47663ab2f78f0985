"""The verbs of data sets: `bregnas data add`, `list`, `show`, `delete`."""

from pathlib import Path
from typing import Annotated

import typer

from bregnas import show
from bregnas.verbs.session import Usage, session

data = typer.Typer(help="Upload data sets, and see which there are.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of a known set, or the id of an uploaded one.")]


@data.command()
def add(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="PATH", help="A folder of images, or a file: .npz, IDX, a zip of images.")
    ],
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="With an image of the same name for each, to translate into.", show_default=False
        ),
    ] = None,
    masks: Annotated[bool, typer.Option("--masks", help="They are masks, to segment.")] = False,
) -> None:
    """Upload a file or a folder of images; prints the id that a search names. The same content gives the same id."""
    mine = session(context)
    if masks and pairs is None:
        raise Usage("--masks says what the folder of --pairs holds; name it: --pairs FOLDER")
    with mine.client() as client:
        try:
            added = client.datasets.add(source, pairs, masks=masks)
        except (OSError, ValueError) as error:
            raise Usage(str(error)) from error
    if mine.json:
        mine.show(added)
        return
    typer.echo(added.id)
    if not mine.quiet:
        show.dataset(mine.progress, added)


@data.command("list")
def list_(
    context: typer.Context, most: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")] = None
) -> None:
    """List the sets that are known by name, then the uploaded ones, newest first."""
    mine = session(context)
    with mine.client() as client:
        found = list(client.datasets.list(most=most))
    mine.show([*found]) if mine.json else show.datasets(mine.out, found)


@data.command("show")
def show_(context: typer.Context, name: Name) -> None:
    """Show what is known of a data set."""
    mine = session(context)
    with mine.client() as client:
        found = client.datasets.get(name)
    mine.show(found) if mine.json else show.dataset(mine.out, found)


@data.command()
def delete(context: typer.Context, name: Name) -> None:
    """Forget an uploaded set; searches that are over stay as they are."""
    mine = session(context)
    with mine.client() as client:
        client.datasets.delete(name)
    mine.say(f"{name} is gone")
