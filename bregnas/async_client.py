"""The client to be awaited: `AsyncBregnas`, with the names of `client`; a test holds them equal."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx
from httpx_sse import EventSource
from pydantic import BaseModel, PrivateAttr

from bregnas import calls, connection, documents, packing, profiles
from bregnas.bundle import fetched
from bregnas.downloading import Download
from bregnas.steps import LONGEST_S, Pause, Reply, Request, Steps, waiting
from bregnas.watching import Watching
from spec import SearchSpec

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

Source = str | os.PathLike[str]


class AsyncBregnas:
    """A service, by its address and a key where it asks for one.

    What is not given comes from BREGNAS_URL and BREGNAS_KEY, else from the profile that `bregnas login` wrote, else it
    is this machine's. Close it, or use it in a `with`. Requests are sent again where the connection breaks or the
    service is busy (429, 503); none of them happens twice by that. Threads may share it.

    Every method raises `APIError` (the service refused) and `Unreachable` besides what it names.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        profile: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.access = profiles.access(url, key, profile)
        self._http = httpx.AsyncClient(**connection.options(self.access), transport=transport)
        self.searches = AsyncSearches(self)
        self.datasets = AsyncDataSets(self)
        self.architectures = AsyncArchitectures(self)

    async def superstructures(self) -> list[documents.Superstructure]:
        """The kinds of networks to search in."""
        return (await self._run(calls.list_superstructures())).data

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> "AsyncBregnas":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, steps: Steps[T]) -> T:
        """Do what an operation asks for, until it returns."""
        answer: Reply | None = None
        fault: Exception | None = None
        while True:
            try:
                step = steps.throw(fault) if fault is not None else steps.send(answer)  # type: ignore[arg-type]
            except StopIteration as done:
                result: T = done.value
                return result
            answer = fault = None
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                continue
            try:
                with connection.arguments(step) as arguments:
                    answer = connection.reply(await self._http.request(**arguments))
            except httpx.RequestError as error:
                fault = connection.unreachable(self.access.url, error)

    async def _pages(self, listing: calls.Listing[M]) -> AsyncIterator[M]:
        after, seen = None, 0
        while True:
            page = await self._run(listing.page(after, seen))
            wanted = listing.cut(page, seen)
            for item in wanted:
                yield item
            seen += len(wanted)
            if not listing.goes_on(page, seen):
                return
            after = page.last_id

    async def _download(self, request: Request, target: Source) -> Path:
        with Download(request, target) as download:
            while True:
                with connection.arguments(download.request()) as arguments:
                    try:
                        async with self._http.stream(**arguments) as got:
                            head = connection.head(got)
                            body = b"" if head.status < 400 else await got.aread()
                            pause = download.begin(Reply(head.status, head.headers, body))
                            if pause is None:
                                async for piece in got.aiter_bytes():
                                    download.feed(piece)
                                return download.finish()
                    except httpx.RequestError as error:
                        pause = download.broke(connection.unreachable(self.access.url, error))
                await asyncio.sleep(pause)

    async def _watch(self, search_id: str, after: int) -> AsyncIterator[documents.Event]:
        watching = Watching(search_id, after)
        while not watching.over:
            with connection.arguments(watching.request()) as arguments:
                try:
                    async with self._http.stream(**arguments) as got:
                        head = connection.head(got)
                        if head.status != 200:
                            pause = watching.refused(Reply(head.status, head.headers, await got.aread()))
                        else:
                            async for sent in EventSource(got).aiter_sse():
                                if (event := watching.take(sent)) is not None:
                                    yield event
                            pause = 0.0 if watching.over else watching.broke()
                except httpx.RequestError as error:
                    pause = watching.broke(connection.unreachable(self.access.url, error))
            if not watching.over:
                await asyncio.sleep(pause)


class AsyncSearch(documents.SearchDocument):
    """A search of a service, as it was when it was last asked for, and what can be done with it."""

    _client: AsyncBregnas = PrivateAttr()

    @classmethod
    def _of(cls, client: AsyncBregnas, document: documents.SearchDocument) -> "AsyncSearch":
        search = cls.model_validate(document.model_dump())
        search._client = client
        return search

    async def refresh(self) -> "AsyncSearch":
        """The search as it is now."""
        return self._of(self._client, await self._client._run(calls.get_search(self.id)))

    async def wait(
        self,
        timeout: float | None = None,
        on_change: Callable[[documents.SearchDocument], None] | None = None,
        longest_s: float = LONGEST_S,
    ) -> "AsyncSearch":
        """Wait until it has succeeded, at most `timeout` seconds; polls 1 s apart at first, later up to `longest_s`.

        Raises SearchFailed, SearchCancelled, and WaitTimeout: the search goes on then. `on_change` is told what is new.
        """
        return self._of(
            self._client, await self._client._run(waiting(self.id, timeout, on_change, longest_s=longest_s))
        )

    def watch(self, after: int = 0) -> AsyncIterator[documents.Event]:
        """What happened to it after an event, and what happens, until it ends; a broken stream goes on by itself."""
        return self._client._watch(self.id, after)

    async def history(self) -> documents.History:
        """Active neurons of every layer and the losses, epoch by epoch."""
        return await self._client._run(calls.get_layers(self.id))

    async def path(self) -> list[documents.PathEntry]:
        """The architectures that it met on its way, the best of each size."""
        return (await self._client._run(calls.get_path(self.id))).data

    async def train(self, k: int, **changes: Any) -> "AsyncSearch":
        """Queue a search that trains architecture `k` of the path on; `changes` are fields in place of its own."""
        return self._of(self._client, await self._client._run(calls.train_path(self.id, k, changes)))

    async def clone(self, **changes: Any) -> "AsyncSearch":
        """Queue a search like this one; `changes` are fields in place of its own."""
        return self._of(self._client, await self._client._run(calls.clone_search(self.id, changes)))

    async def pause(self) -> "AsyncSearch":
        """Let it rest."""
        return self._of(self._client, await self._client._run(calls.change_search(self.id, "pause")))

    async def resume(self) -> "AsyncSearch":
        """Let it go on."""
        return self._of(self._client, await self._client._run(calls.change_search(self.id, "resume")))

    async def cancel(self) -> "AsyncSearch":
        """End it."""
        return self._of(self._client, await self._client._run(calls.change_search(self.id, "cancel")))

    async def delete(self) -> None:
        """Forget it with its artifacts."""
        await self._client._run(calls.delete_search(self.id))

    async def artifacts(self) -> list[documents.Artifact]:
        """The files that it has published."""
        return (await self._client._run(calls.list_artifacts(self.id))).data

    async def download(self, path: Source = ".", candidate: str | None = None) -> Path:
        """Download the winner's bundle, or another candidate's, and return where it lies.

        `path` is a folder, where it gets the name that it was published under, or the file itself. Its SHA-256 is
        checked while it streams. Raises DownloadDiffers.
        """
        return await self._client._download(calls.model(self.id, candidate), path)

    async def download_artifact(self, name: str, path: Source = ".") -> Path:
        """Download one artifact, checked as `download` does."""
        return await self._client._download(calls.artifact(self.id, name), path)

    async def model(self, candidate: str | None = None, *, trust: bool = False) -> Any:
        """The network, a ready `torch.nn.Module`; needs torch and safetensors.

        It runs the `model.py` that the service sends: say `trust=True` where you trust the service with this machine.
        Raises PermissionError without that, DownloadDiffers, BundleInvalid.
        """
        with ExitStack() as stack:
            place = fetched(stack, trust)
            path = await self.download(place.folder, candidate)
            return await asyncio.to_thread(place.load, path)


class AsyncSearches:
    """The searches of a service."""

    def __init__(self, client: AsyncBregnas) -> None:
        self._client = client

    async def create(
        self, spec: SearchSpec | Mapping[str, Any] | None = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> AsyncSearch:
        """Queue a search: a whole specification, or its fields, or fields in place of its own.

        `data` may be what `datasets.add` returned. It has an `Idempotency-Key` by itself; give one of your own where
        this program may end before the answer comes, and run again.
        """
        body = calls.specification(spec, fields)
        return AsyncSearch._of(self._client, await self._client._run(calls.create_search(body, idempotency_key)))

    async def estimate(self, spec: SearchSpec | Mapping[str, Any] | None = None, **fields: Any) -> documents.Estimate:
        """What such a search would amount to: sizes, memory, a guess at the time. Nothing is queued."""
        return await self._client._run(calls.estimate_search(calls.specification(spec, fields)))

    async def get(self, search_id: str) -> AsyncSearch:
        """A search by its id."""
        return AsyncSearch._of(self._client, await self._client._run(calls.get_search(search_id)))

    async def list(
        self, *, status: str | None = None, metadata: Mapping[str, str] | None = None, most: int | None = None
    ) -> AsyncIterator[AsyncSearch]:
        """Searches, newest first, page after page as they are taken; at most `most`."""
        async for document in self._client._pages(calls.list_searches(status, metadata, most)):
            yield AsyncSearch._of(self._client, document)


class AsyncDataSets:
    """The data sets of a service."""

    def __init__(self, client: AsyncBregnas) -> None:
        self._client = client

    async def add(self, source: Source, pairs: Source | None = None, *, masks: bool = False) -> documents.DataSet:
        """Upload a file (npz, IDX, a zip of images) or a folder of images, which is zipped on its way.

        `pairs` is a folder with an image of the same name for each: what `translate` turns them into, or with `masks`
        the classes that `segment` finds. The same content sent again gives the same data set. Raises OSError, and
        ValueError where a folder holds nothing that could be sent.
        """
        with ExitStack() as stack:  # packing takes a while, and others may go on meanwhile
            packed = packing.packed(source, pairs, masks=masks)
            file, name = await asyncio.to_thread(stack.enter_context, packed)
            return await self._client._run(calls.add_dataset(file, name))

    async def get(self, name: str) -> documents.DataSet:
        """A data set by its name in the catalogue or its id."""
        return await self._client._run(calls.get_dataset(name))

    def list(self, *, most: int | None = None) -> AsyncIterator[documents.DataSet]:
        """The catalogue, then the uploaded sets, newest first; at most `most`."""
        return self._client._pages(calls.list_datasets(most))

    async def delete(self, dataset_id: str) -> None:
        """Forget an uploaded set."""
        await self._client._run(calls.delete_dataset(dataset_id))


class AsyncArchitectures:
    """What searches have found."""

    def __init__(self, client: AsyncBregnas) -> None:
        self._client = client

    def list(
        self,
        *,
        task: str | None = None,
        data: str | None = None,
        superstructure: str | None = None,
        candidate: str | None = None,
        shape: str | None = None,
        min_parameters: int | None = None,
        max_parameters: int | None = None,
        max_loss: float | None = None,
        won: bool | None = None,
        sort: str | None = None,
        most: int | None = None,
    ) -> AsyncIterator[documents.Architecture]:
        """Candidates of all searches that pass every filter given, newest first unless `sort` says otherwise."""
        filters = {name: value for name, value in locals().items() if name not in ("self", "most")}
        return self._client._pages(calls.list_architectures(most, **filters))
