"""A bundle on this machine, a zip or the folder that it was unpacked to: what is in it, and whether it is whole."""

import hashlib
import importlib.util
import json
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bregnas.errors import BundleInvalid

_MANIFEST = "manifest.json"
_LARGEST = 8 << 30  # bytes of a bundle, unpacked


class Bundle:
    """A bundle. Raises BundleInvalid where it is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._names = self._inside()
        except (OSError, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
            raise BundleInvalid(f"{path} cannot be read as a bundle: {error}") from error
        if _MANIFEST not in self._names:
            raise BundleInvalid(f"{path} is no bundle: it has no {_MANIFEST}; download one with: bregnas download ID")

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def read(self, name: str) -> bytes:
        """The bytes of a file in it. Raises BundleInvalid where it is not there or cannot be read."""
        if name not in self._names:
            raise BundleInvalid(f"{self.path} has no {name}")
        try:
            if self.path.is_dir():
                return (self.path / name).read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(self._names[name])
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
            raise BundleInvalid(f"{name} of {self.path} cannot be read: {error}") from error

    def document(self, name: str) -> dict[str, Any]:
        """A JSON file in it, an object."""
        try:
            found = json.loads(self.read(name))
        except ValueError as error:
            raise BundleInvalid(f"{name} of {self.path} is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise BundleInvalid(f"{name} of {self.path} is no JSON object")
        return found

    def differences(self) -> list[str]:
        """What is not as its manifest says, in words; empty where all is whole."""
        listed = self.document(_MANIFEST).get("files")
        if not isinstance(listed, dict) or not all(
            isinstance(one, dict) and isinstance(one.get("sha256"), str) for one in listed.values()
        ):
            raise BundleInvalid(f"{_MANIFEST} of {self.path} lists no files with their hashes")
        found = []
        for name, said in sorted(listed.items()):
            if name not in self._names:
                found.append(f"{name} is missing")
            else:
                try:
                    if hashlib.sha256(self.read(name)).hexdigest() != said["sha256"]:
                        found.append(f"{name} is not what was published: its SHA-256 differs")
                except BundleInvalid as error:
                    found.append(str(error))
        if not self.path.is_dir():
            found += [f"{name} is not in the manifest" for name in sorted(set(self._names) - set(listed) - {_MANIFEST})]
        return found

    @contextmanager
    def unpacked(self) -> Iterator[Path]:
        """The folder with its files: its own, or one that is gone afterwards."""
        if self.path.is_dir():
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="bregnas-") as made:
            for name in self._names:
                (Path(made) / name).write_bytes(self.read(name))
            yield Path(made)

    def _inside(self) -> dict[str, str]:
        """The files by their names without the one folder that a zip has them in."""
        if self.path.is_dir():
            return {path.name: path.name for path in self.path.iterdir() if path.is_file()}
        with zipfile.ZipFile(self.path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
        if sum(info.file_size for info in members) > _LARGEST:
            raise BundleInvalid(f"{self.path} would unpack to more than {_LARGEST >> 30} GiB")
        return {
            info.filename.rpartition("/")[2]: info.filename
            for info in members
            if info.filename.count("/") <= 1 and "\\" not in info.filename and not info.filename.endswith("..")
        }


@dataclass(frozen=True)
class Place:
    """A folder that a bundle is downloaded to, to be loaded from."""

    folder: Path

    def load(self, path: Path) -> Any:
        """The network of the bundle at `path`, which is checked first; runs its `model.py`. Raises BundleInvalid."""
        bundle = Bundle(path)
        if wrong := bundle.differences():
            raise BundleInvalid("; ".join(wrong))
        with bundle.unpacked() as folder:
            return module(folder).load(folder)


def fetched(stack: ExitStack, trust: bool) -> Place:
    """Where to download a bundle that is to be run; refuses where nobody trusts it. Gone with the stack."""
    if not trust:
        raise PermissionError(
            "model() runs the model.py that the service sends; say model(trust=True) where you trust it, or run the "
            "bundle's model.onnx, which is data"
        )
    return Place(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bregnas-"))))


def module(folder: Path) -> Any:
    """The `model.py` of a bundle, imported under a name of its own: this runs what stands in it."""
    path = folder / "model.py"
    name = f"bregnas_model_{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    made = importlib.util.module_from_spec(found)
    sys.modules[name] = made  # so that what is made of its classes can be pickled
    try:
        found.loader.exec_module(made)
    except BaseException:
        del sys.modules[name]
        raise
    return made
