"""How does a folder of images become one file that the service takes? A zip with the same bytes for the same images."""

import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TIME = (1980, 1, 1, 0, 0, 0)  # the same folder, zipped again, is the same data set
_JUNK = frozenset({"thumbs.db", "desktop.ini"})
_MOST = 65_535
_PAIRED = 2


@contextmanager
def packed(
    source: str | os.PathLike[str], pairs: str | os.PathLike[str] | None = None, *, masks: bool = False
) -> Iterator[tuple[Path, str]]:
    """The file to send for a file, a folder, or two folders of pairs, and the name to send it under.

    A zip that is made for it is gone afterwards. Raises FileNotFoundError, and ValueError where a folder has no files.
    """
    path = Path(source).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there")
    if path.is_file():
        if pairs is not None:
            raise ValueError(f"pairs are two folders, and {path} is a file")
        yield path, path.name
        return
    files = _files(path)
    if pairs is not None:
        other = Path(pairs).expanduser()
        if not other.is_dir():
            raise ValueError(f"{other} is not a folder; pairs are two folders with the same names in them")
        files = {f"image/{name}": file for name, file in files.items()}
        files |= {f"{'mask' if masks else 'label'}/{name}": file for name, file in _files(other).items()}
    if len(files) > _MOST:
        raise ValueError(f"{path} holds {len(files):,} files; at most {_MOST:,} can be sent, or an .npz")
    with tempfile.TemporaryDirectory(prefix="bregnas-") as folder:
        made = Path(folder) / "images.zip"
        with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:  # images are compressed as they are
            for name, file in sorted(files.items()):
                info = zipfile.ZipInfo(name, _TIME)
                with archive.open(info, "w", force_zip64=False) as target, file.open("rb") as opened:
                    while piece := opened.read(1 << 20):
                        target.write(piece)
        yield made, f"{path.resolve().name or 'images'}.zip"


def _files(folder: Path) -> dict[str, Path]:
    """The files of a folder and of those in it, by their names in a zip; hidden ones are left out."""
    found = {}
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in parts) and parts[-1].lower() not in _JUNK:
            if len(parts) > _PAIRED:
                raise ValueError(
                    f"{path} lies in a folder within a folder; put the images into {folder} itself, or into one folder "
                    "a class, or into image/ and label/"
                )
            found["/".join(parts)] = path
    if not found:
        raise ValueError(f"{folder} holds no files")
    return found
