"""What the process that checks an upload tells the one that asked."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Checked:
    """A good upload: `description` is plain JSON and all that the API shows; `peak_bytes` what checking it took."""

    format: str
    fingerprint: str
    description: dict[str, Any]
    peak_bytes: int = 0
