"""What a figure was measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any


def description() -> dict[str, Any]:
    """Processor, cores, memory and the versions that matter."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "system": platform.system(),
    }
