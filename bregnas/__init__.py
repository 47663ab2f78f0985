"""What a user imports: the Python client and the command line.

    from bregnas import Bregnas

    client = Bregnas()                                    # http://127.0.0.1:8000, or BREGNAS_URL and BREGNAS_KEY
    data = client.datasets.add("my-images")               # a folder, a zip, an npz
    search = client.searches.create(
        superstructure={"kind": "unet", "levels": 3, "base": 24, "residual": True},
        task={"kind": "denoise", "sigma": 0.1}, data=data, target={"parameters": 10_000}, budget={"crop": 48},
    )
    print(search.wait().download())

It speaks HTTP and imports no torch; `AsyncBregnas` has the same methods to be awaited.
"""

from bregnas.async_client import AsyncBregnas, AsyncSearch
from bregnas.client import Bregnas, Search
from bregnas.errors import (
    APIError,
    BregnasError,
    BundleInvalid,
    DownloadDiffers,
    SearchCancelled,
    SearchFailed,
    Unreachable,
    WaitTimeout,
)

__all__ = [
    "APIError",
    "AsyncBregnas",
    "AsyncSearch",
    "Bregnas",
    "BregnasError",
    "BundleInvalid",
    "DownloadDiffers",
    "Search",
    "SearchCancelled",
    "SearchFailed",
    "Unreachable",
    "WaitTimeout",
]
