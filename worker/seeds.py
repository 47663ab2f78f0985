"""Everything random in a search, as independent streams that follow from the search's seed."""

import hashlib

import torch


def stream(seed: int, *labels: str | int) -> torch.Generator:
    """A generator for one purpose, such as `stream(seed, "noise", epoch, batch)`.

    A stream depends on its labels alone and not on what was drawn before: so a search that is resumed in the middle
    of an epoch draws what an undisturbed one draws.
    """
    text = "/".join(map(str, (seed, *labels)))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little", signed=True)
    return torch.Generator().manual_seed(number)
