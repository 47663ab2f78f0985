"""The verbs of searches: queue one, look at it, wait for it, change its course."""

from pathlib import Path
from typing import Annotated

import typer

from bregnas import show
from bregnas.client import Bregnas, Search
from bregnas.errors import APIError
from bregnas.plain import as_json, plain
from bregnas.verbs import local
from bregnas.verbs.options import Given, checked, count, refused, specification, takes_search
from bregnas.verbs.session import Exit, Session, Usage, detached, session, waited

Id = Annotated[str, typer.Argument(metavar="ID", help="The search: srch_…", show_default=False)]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=0, help="Wait so many seconds at most.", show_default=False)
]


_WHERE = "Where, and whether to wait"


@takes_search
def search(
    context: typer.Context,
    given: Given,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until it ends, and show how it goes.", rich_help_panel=_WHERE)
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", min=0, help="With --wait: so many seconds at most.", show_default=False, rich_help_panel=_WHERE
        ),
    ] = None,
    is_local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="Run it here and now, without a service; again, it goes on where it was left.",
            rich_help_panel=_WHERE,
        ),
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", help="Where --local puts its results.", show_default="bregnas-search", rich_help_panel=_WHERE
        ),
    ] = None,
) -> None:
    """Search for a network; prints the id of the search, or with --wait what was found.

    For instance: bregnas search --data photos --net unet --task denoise --residual --crop 40 --target-params 10k --wait
    """
    mine = session(context)
    if folder is not None and not is_local:
        raise Usage("--folder is where --local puts its results; without --local fetch them with: bregnas download")
    if is_local:
        local.run(mine, given, folder)
        return
    with mine.client() as client:
        body = _body(mine, client, given)
        try:
            made = client.searches.create(body)
        except APIError as error:
            raise refused(error, given) from error
        if not wait:
            if mine.json:
                mine.show(made)
            else:
                typer.echo(made.id)
                mine.say(f"queued; watch it with: bregnas watch {made.id}")
            return
        mine.say(f"{made.id} is queued")
        _ended(mine, waited(mine, made, timeout, mine.progress))


@takes_search
def estimate(context: typer.Context, given: Given) -> None:
    """Say what a search would amount to: sizes, memory, a guess at the time. Nothing is queued."""
    mine = session(context)
    with mine.client() as client:
        try:
            found = client.searches.estimate(_body(mine, client, given))
        except APIError as error:
            raise refused(error, given) from error
    if mine.json:
        mine.show(found)
    else:
        show.estimate(mine.out, found)


def list_(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="Only those: queued, running, succeeded, failed, …")] = None,
    metadata: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only with that pair.")] = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 20,
) -> None:
    """List searches, newest first."""
    mine = session(context)
    if wrong := [pair for pair in metadata or () if "=" not in pair]:
        raise Usage(f"--metadata {wrong[0]}: write it like --metadata project=demo")
    pairs = dict(pair.partition("=")[::2] for pair in metadata or ())
    with mine.client() as client:
        found = list(client.searches.list(status=status, metadata=pairs, most=most))
    if mine.json:
        mine.show([*found])
    else:
        show.searches(mine.out, found)
        if not found:
            mine.say("there are none; queue one with: bregnas search")


def show_(context: typer.Context, search_id: Id) -> None:
    """Show a search: how far it is, or what it found, or why it failed."""
    mine = session(context)
    with mine.client() as client:
        found = client.searches.get(search_id)
    if mine.json:
        mine.show(found)
    else:
        show.search(mine.out, found)


def watch(
    context: typer.Context,
    search_id: Id,
    timeout: Timeout = None,
    after: Annotated[int, typer.Option(min=0, help="With --json: only events after that id.")] = 0,
) -> None:
    """Watch a search until it ends; Ctrl-C ends the watching alone. With --json an event a line."""
    mine = session(context)
    with mine.client() as client:
        found = client.searches.get(search_id)
        if not mine.json:
            _ended(mine, waited(mine, found, timeout, mine.out))
            return
        try:
            for event in found.watch(after):
                typer.echo(as_json(event.model_dump(mode="json")))
        except KeyboardInterrupt:
            detached(mine, search_id)
            raise typer.Exit(Exit.DETACHED) from None
        found.refresh().wait(30)  # it is over: raises where it did not succeed


def layers(context: typer.Context, search_id: Id) -> None:
    """Show the active neurons of every layer, epoch by epoch."""
    mine = session(context)
    with mine.client() as client:
        found = client.searches.get(search_id).history()
    if mine.json:
        mine.show(found)
    else:
        show.history(mine.out, found)


def front(
    context: typer.Context,
    search_id: Id,
    train: Annotated[
        int | None, typer.Option(min=0, metavar="K", help="Queue a search that trains that one on.", show_default=False)
    ] = None,
) -> None:
    """Show the sizes that a search met on its way and how good they were; --train K trains one of them on."""
    mine = session(context)
    with mine.client() as client:
        found = client.searches.get(search_id)
        if train is not None:
            made = found.train(train)
            mine.show(made) if mine.json else typer.echo(made.id)
            return
        path = found.path()
    if mine.json:
        mine.show([*path])
        return
    show.front(mine.out, path)
    if not path:
        mine.say("it has none (yet): a search of widths has one once it has succeeded")


def compare(context: typer.Context, first: Id, second: Id) -> None:
    """Show two searches side by side: where they differ, and what they found."""
    mine = session(context)
    with mine.client() as client:
        found = [client.searches.get(first), client.searches.get(second)]
    if mine.json:
        differ = show.differences(found[0].spec, found[1].spec)
        mine.show(
            {"object": "comparison", "differences": differ, "searches": [one.model_dump(mode="json") for one in found]}
        )
    else:
        show.comparison(mine.out, found[0], found[1])


def architectures(
    context: typer.Context,
    task: Annotated[str | None, typer.Option(help="Only of that task.")] = None,
    data: Annotated[str | None, typer.Option(help="Only on that data set.")] = None,
    net: Annotated[str | None, typer.Option(help="Only of that superstructure.")] = None,
    shape: Annotated[str | None, typer.Option(help="bottleneck, bulge, …")] = None,
    won: Annotated[bool | None, typer.Option("--won/--lost", help="Only what was delivered, or only the rest.")] = None,
    max_params: Annotated[
        str | None, typer.Option(metavar="N", help="At most so many parameters: 300k.", show_default=False)
    ] = None,
    sort: Annotated[str | None, typer.Option(help="loss, parameters, created_at; a minus sorts downwards.")] = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 20,
) -> None:
    """List what was found, over all searches."""
    mine = session(context)
    with mine.client() as client:
        found = list(
            client.architectures.list(
                task=task,
                data=data,
                superstructure=net,
                shape=shape,
                won=won,
                max_parameters=None if max_params is None else count(max_params),
                sort=sort,
                most=most,
            )
        )
    if mine.json:
        mine.show([*found])
    else:
        show.architectures(mine.out, found)


def pause(context: typer.Context, search_id: Id) -> None:
    """Let a search rest; it writes a checkpoint first."""
    _wish(session(context), search_id, "pause")


def resume(context: typer.Context, search_id: Id) -> None:
    """Let a paused search go on from its checkpoint."""
    _wish(session(context), search_id, "resume")


def cancel(context: typer.Context, search_id: Id) -> None:
    """End a search."""
    _wish(session(context), search_id, "cancel")


@takes_search
def clone(context: typer.Context, search_id: Id, given: Given) -> None:
    """Queue a search like another; options take the place of its own."""
    mine = session(context)
    with mine.client() as client:
        source = client.searches.get(search_id)
        typed = specification(given)
        # Parts are replaced whole by the service: what is typed here is put into the source's own.
        changes = {name: show.merged(source.spec.get(name), part) for name, part in typed.items()}
        if "data" in changes:
            changes["data"] = _data(mine, client, str(changes["data"]))
        try:
            made = source.clone(**changes)
        except APIError as error:
            raise refused(error, given) from error
    mine.show(made) if mine.json else typer.echo(made.id)


def _wish(mine: Session, search_id: str, wish: str) -> None:
    with mine.client() as client:
        found = client.searches.get(search_id)
        changed: Search = getattr(found, wish)()
    if mine.json:
        mine.show(changed)
    else:
        typer.echo(f"{plain(changed.id)} is {plain(changed.status)}")


def _body(mine: Session, client: Bregnas, given: Given) -> dict[str, object]:
    """The search to post, whose data are there; what cannot be right is refused before anything is sent."""
    body = specification(given)
    data = body.get("data")
    is_path = isinstance(data, str) and local.is_path(data)
    checked(body | {"data": "here"} if is_path else body, given)
    return body | {"data": _data(mine, client, data)} if isinstance(data, str) else body


def _data(mine: Session, client: Bregnas, data: str) -> str:
    """The data set that is meant: a path is uploaded."""
    if not local.is_path(data):
        return data
    try:
        added = client.datasets.add(data)
    except (OSError, ValueError) as error:
        raise Usage(f"--data {data}: {error}") from error
    mine.say(f"{plain(data)} is the data set {added.reference}")
    for warning in added.warnings:
        mine.say(f"  {plain(warning)}")
    return added.reference


def _ended(mine: Session, done: Search) -> None:
    if mine.json:
        mine.show(done)
        return
    show.search(mine.out, done)
    mine.say(f"download it with: bregnas download {done.id}")
