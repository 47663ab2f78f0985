"""What is a file, by its first bytes? A name proves nothing."""

import re
from typing import Final, Literal

Format = Literal["npz", "idx", "images"]

HEAD: Final = 512  # bytes that decide

_KNOWN: Final[tuple[tuple[bytes, str], ...]] = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"RIFF", "a WebP image or a sound"),
    (b"\x93NUMPY", "a single npy array"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"%PDF", "a PDF"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"#!", "a script"),
)
_PICKLE: Final = re.compile(rb"\x80[\x02-\x05]")
_HTML: Final = re.compile(rb"\s*(<!doctype html|<html|<head|<\?xml|<svg)", re.IGNORECASE)


def named(head: bytes) -> str:
    """What a file that begins with `head` is, in words."""
    for magic, words in _KNOWN:
        if head.startswith(magic):
            return words
    if head[257:262] == b"ustar":
        return "a tar archive"
    if _PICKLE.match(head):
        return "a pickle, which is never loaded"
    if _HTML.match(head):
        return "an HTML or XML page"
    if head and not head.strip(b"\t\n\r\x20" + bytes(range(0x21, 0x7F)) + bytes(range(0x80, 0x100))):
        return "text"
    return "nothing that is known here" if head else "empty"
