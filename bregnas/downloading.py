"""How does a file arrive whole? In pieces, each hashed, on from where a connection broke, under its name at the end.

The service's strong ETag is the SHA-256 of the file, so what arrives is checked against what was published.
"""

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import BinaryIO

from bregnas.errors import APIError, DownloadDiffers, Unreachable
from bregnas.steps import TRIES, Reply, Request, retry_after

_NAME = re.compile(r'filename="([A-Za-z0-9][A-Za-z0-9._-]{0,127})"')
_SHA256 = re.compile(r'"([0-9a-f]{64})"')


class Download:
    """One file on its way into `target`: a folder, where it gets the name that it was published under, or a file.

    Used as a context manager; what is not `finish`ed leaves nothing behind.
    """

    def __init__(self, request: Request, target: str | os.PathLike[str]) -> None:
        self._request, self._target = request, Path(target)
        self._folder = self._target if self._target.is_dir() else self._target.parent
        self._name, self._etag, self._size, self._failures = "", "", 0, 0
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None
        self._part = Path()

    def __enter__(self) -> "Download":
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(prefix=".bregnas-", suffix=".part", dir=self._folder)
        self._file, self._part = os.fdopen(descriptor, "wb"), Path(part)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()
        self._part.unlink(missing_ok=True)

    def request(self) -> Request:
        """The whole file, or what is missing of it."""
        headers = {"Accept-Encoding": "identity"}
        if self._size:
            headers |= {"Range": f"bytes={self._size}-", "If-Range": self._etag}
        return Request(self._request.method, self._request.path, self._request.params, headers=headers)

    def begin(self, reply: Reply) -> float | None:
        """Look at the head of an answer: None where its body is to be fed, else seconds to wait. Raises APIError."""
        if reply.status in (429, 502, 503, 504):
            return max(self.broke(reply.error()), retry_after(reply))
        if reply.status not in (200, 206):
            raise reply.error()
        if reply.status == 200:
            self._restart()
        self._etag = reply.headers.get("etag", "")
        named = _NAME.search(reply.headers.get("content-disposition", ""))
        self._name = named[1] if named else "download"
        return None

    def feed(self, piece: bytes) -> None:
        """Take a piece of the body."""
        assert self._file is not None
        self._file.write(piece)
        self._digest.update(piece)
        self._size += len(piece)

    def broke(self, error: Unreachable | APIError) -> float:
        """Seconds to wait before asking for the rest. Raises `error` where that goes on."""
        self._failures += 1
        if self._failures >= TRIES:
            raise error
        return 0.5 * 2.0 ** (self._failures - 1)

    def finish(self) -> Path:
        """Check what arrived, and give it its name. Raises DownloadDiffers."""
        assert self._file is not None
        published = _SHA256.fullmatch(self._etag)
        if published is None or self._digest.hexdigest() != published[1]:
            raise DownloadDiffers(
                f"{self._name}: the {self._size:,} bytes that arrived are not what was published; download it again"
            )
        self._file.flush()
        os.fsync(self._file.fileno())
        path = self._target / self._name if self._target.is_dir() else self._target
        mask = os.umask(0)
        os.umask(mask)
        self._part.chmod(0o666 & ~mask)  # as any file that is made here; a temporary one is for its owner alone
        self._part.replace(path)
        return path

    def _restart(self) -> None:
        assert self._file is not None
        self._file.seek(0)
        self._file.truncate()
        self._digest, self._size = hashlib.sha256(), 0
