"""Where do the files of a search lie, and how are they read?

In an object store: a folder by default, or an `s3://`, `gs://` or `az://` URL. An object never changes: its key is
`searches/{search}/{attempt}/{sha256}`, or `datasets/{id}/{sha256}`, so writing it twice is a no-op, a worker that was
thought dead cannot damage what another published, and the hash of the key is the strong ETag. Which objects count is
said by the database alone: a key is written first and committed there afterwards.

Threads: an `Artifacts` may be shared by threads and event loops.
Errors: `ArtifactMissing` for a key that does not exist; `StoreUnavailable` for everything the store itself refuses or
fails at (away, full, no permission), with its words.
"""

import hashlib
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, from_url

CHUNK: Final = 1 << 20
_MULTIPART: Final = 8 * CHUNK  # larger files are sent in parts and never held in memory

# A store that is away is said to be within seconds; a worker asks again by itself, and so does a caller.
_RETRY: Final[Any] = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=2), "base": 2},
}


class ArtifactMissing(Exception):
    """No object has this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is no artifact {key}")
        self.key = key


class StoreUnavailable(Exception):
    """The artifact store cannot do this now."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that lies in the store."""

    key: str
    sha256: str
    size: int
    """Bytes."""


class Artifacts:
    """The artifact store at a URL, or in a folder (which is created)."""

    def __init__(self, url_or_folder: str | Path) -> None:
        text = str(url_or_folder)
        self._folder: Path | None = None
        if "://" in text and not text.startswith("file://"):
            with _named(text):
                self._store = from_url(text, retry_config=_RETRY)
        else:
            self._folder = Path(text.removeprefix("file://")).absolute()
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._store = LocalStore(self._folder)
            except (BaseError, OSError, ValueError) as error:
                raise StoreUnavailable(f"{text} cannot be used as a folder: {error}") from error

    @classmethod
    def default(cls, home: Path) -> "Artifacts":
        """The store of an installation that names no other: a folder in its home."""
        return cls(home / "artifacts")

    def put(self, search_id: str, attempt: int, source: Path | bytes) -> Stored:
        """Store bytes or a file of a search, all or nothing; when this returns they survive a crash of the machine."""
        return self._put(f"searches/{search_id}/{attempt}", source)

    def put_dataset(self, dataset_id: str, source: Path) -> Stored:
        """Store the file of an uploaded data set, likewise."""
        return self._put(f"datasets/{dataset_id}", source)

    def _put(self, prefix: str, source: Path | bytes) -> Stored:
        sha256, size = _digest(source)
        key = f"{prefix}/{sha256}"
        with self._at(key):
            try:
                # "create" sends in one piece. For a large file an equal object may be written over instead.
                if size <= _MULTIPART:
                    obstore.put(self._store, key, source, mode="create")
                else:
                    obstore.put(self._store, key, source, use_multipart=True, max_concurrency=2)
            except AlreadyExistsError:
                pass  # the same key is the same content
            except FileNotFoundError as error:  # the bucket's name, not the key's: it is not there (yet)
                raise StoreUnavailable(f"{key}: {error}") from error
            if self._folder is not None:
                _make_durable(self._folder / key)
        return Stored(key, sha256, size)

    def get(self, key: str) -> bytes:
        """Read a whole object into memory."""
        with self._at(key):
            return bytes(obstore.get(self._store, key).bytes())

    def size(self, key: str) -> int:
        """How many bytes it has."""
        with self._at(key):
            return int(obstore.head(self._store, key)["size"])

    def fetch(self, key: str, path: Path) -> None:
        """Copy an object to a file, in pieces; the file appears only when it is whole."""
        partial = path.with_name(path.name + ".partial")
        with self._at(key):
            chunks = iter(obstore.get(self._store, key).stream(min_chunk_size=CHUNK))
        try:
            with partial.open("wb") as file:
                while (chunk := _next(key, chunks)) is not None:
                    file.write(chunk)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Begin to read the bytes from `start` up to and without `end`; the chunks come from the iterator returned.

        A missing object is noticed here, before the first chunk: in time for an honest status code.
        """
        with self._at(key):
            span = (start, (await obstore.head_async(self._store, key))["size"] if end is None else end)
            if span[0] >= span[1]:
                return _chunks(key, None)
            found = await obstore.get_async(self._store, key, options={"range": span})
            return _chunks(key, found.stream(min_chunk_size=CHUNK))

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; one that is already gone is no error."""
        for key in keys:
            with self._at(key), suppress(FileNotFoundError):
                obstore.delete(self._store, key)

    def keys(self, prefix: str) -> Iterator[tuple[str, float]]:
        """All keys under a prefix, with when they were written (Unix seconds, by the store's clock)."""
        with self._at(prefix):
            for batch in obstore.list(self._store, prefix):
                for item in batch:
                    yield item["path"], item["last_modified"].timestamp()

    def delete_search(self, search_id: str) -> None:
        """Delete all objects of a search, those included that no row knows of."""
        with self._at(f"searches/{search_id}"):
            found = [item["path"] for batch in obstore.list(self._store, f"searches/{search_id}") for item in batch]
        self.delete(found)

    @contextmanager
    def _at(self, key: str) -> Iterator[None]:
        """Say what goes wrong with a key. A folder that is gone is a store that is away: it is not made anew."""
        if self._folder is not None and not self._folder.is_dir():
            raise StoreUnavailable(f"the folder {self._folder} is not there")
        with _named(key):
            yield


def _next(key: str, chunks: Iterator[bytes]) -> bytes | None:
    with _named(key):
        return next(chunks, None)


async def _chunks(key: str, stream: AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    if stream is None:
        return
    with _named(key):
        async for chunk in stream:
            yield bytes(chunk)


def _digest(source: Path | bytes) -> tuple[str, int]:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest(), len(source)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


def _make_durable(path: Path) -> None:
    """Flush a file and the folders of its key: the database must not outlive what it refers to."""
    for place in (path, *list(path.parents)[:3]):  # {attempt}, {search}, searches
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _named(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ArtifactMissing(key) from error
    except (BaseError, OSError, ValueError) as error:
        raise StoreUnavailable(f"{key}: {error}") from error
