"""Files as people, and worse, upload them."""

import gzip
import io
import pickle
import stat
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

MIB = 1 << 20


def pixels(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def image(array, format="PNG", mode=None, **options) -> bytes:
    file = io.BytesIO()
    made = Image.fromarray(array)
    (made.convert(mode) if mode else made).save(file, format, **options)
    return file.getvalue()


def png(seed=0, size=(8, 8)) -> bytes:
    return image(pixels(*size, seed=seed))


def zipped(members, method=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
    return file.getvalue()


def pngs(count=10, names="{}.png") -> dict[str, bytes]:
    return {names.format(number): png(number) for number in range(count)}


def npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


def npy_claiming(shape, descr="<f8") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def idx(shape, body=b"", code=8) -> bytes:
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + body


def symlink() -> bytes:
    info = zipfile.ZipInfo("link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped([(info, b"/etc/passwd"), *pngs().items()])


def with_absolute_name() -> bytes:
    # `writestr` would take the leading slash away
    return zipped({"xetc/passwd.png": png(), **pngs()}).replace(b"xetc/passwd", b"/etc/passwd")


def with_lying_size() -> bytes:
    """A member whose directory entry says a few bytes, while 100 MiB unpack from it."""
    whole = zipped({"0.png": bytes(100 * MIB)})
    size = struct.pack("<I", 100 * MIB)
    return whole.replace(size, struct.pack("<I", 100))


def many_large() -> bytes:
    """36 files of 60 MiB each, by what the directory says."""
    files = zipped([(f"{n}.png", bytes([n]) * 60_000) for n in range(36)])
    return files.replace(struct.pack("<I", 60_000), struct.pack("<I", 60 * MIB))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(width, height, depth=8, colour=2) -> bytes:
    """A PNG whose header is all that is true of it."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(10 * MIB)))
        + chunk(b"IEND", b"")
    )


def rgb16(seed=0) -> bytes:
    rows = b"".join(b"\0" + row.tobytes() for row in pixels(8, 8 * 3, dtype=np.uint16, seed=seed).byteswap())
    head = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Harm:
    def __reduce__(self):
        return (exec, ("raise SystemExit('harmed')",))


FLAT = npz(x=pixels(10, 8, 8))
BAD_FLOATS = np.full((10, 8, 8), np.nan, np.float32)
SIZES = {**pngs(8), "8.png": png(8, (9, 8)), "9.png": png(9, (10, 8))}


def grid(seed):
    return pixels(8, 8, seed=seed)


def pairs(label, folder="label", count=10) -> bytes:
    labels = {f"{folder}/{n}.png": image(label(n).astype(np.uint8)) for n in range(count)}
    return zipped({**pngs(count, "image/{}.jpg"), **labels})


HOSTILE = {
    "zip bomb, one large file": (lambda: zipped({"0.png": bytes(100 * MIB)}), "would unpack to 104,857,600 bytes"),
    "zip bomb, many files": (many_large, "together are read"),
    "zip bomb that lies about its size": (with_lying_size, "cannot be read|damaged"),
    "zip with a directory of 20 MB": (
        lambda: zipped([("a" * 300 + f"{n}.png", b"") for n in range(50_000)]), "zip directory of"),
    "nested zip": (lambda: zipped({"a.zip": zipped(pngs()), **pngs()}), "'?a.zip'? is a zip archive"),
    "path traversal": (lambda: zipped({"../../0.png": png(), **pngs()}), "leads out of its folder"),
    "path traversal, backslashes": (lambda: zipped({"..\\..\\0.png": png(), **pngs()}), "leads out of its folder"),
    "symbolic link": (symlink, "symbolic link 'link.png'"),
    "absolute name": (with_absolute_name, "leads out of its folder"),
    "name with a drive": (lambda: zipped({"C:/0.png": png(), **pngs()}), "leads out of its folder"),
    "encoded name": (lambda: zipped({"%2e%2e/%2e%2e/0.png": png(), **pngs()}), "leads out of its folder"),
    "double-encoded name": (lambda: zipped({"%252e%252e%252f0.png": png(), **pngs()}), "leads out of its folder"),
    "name with control characters": (lambda: zipped({"a\x1b[2J.png": png(), **pngs()}), "control characters"),
    "header of 8 TB": (lambda: zipped({"x.npy": npy_claiming((1_000_000, 1000, 1000))}), "needs|says 8,000,000"),
    "header whose size overflows": (lambda: zipped({"x.npy": npy_claiming((2**40, 2**40))}), "x.npy|needs"),
    "pickle": (lambda: pickle.dumps(Harm()), "a pickle, which is never loaded"),
    "pickle inside an npz": (lambda: zipped({"x.npy": pickle.dumps(Harm())}), "cannot be read|npy"),
    "object arrays": (lambda: zipped({"x.npy": npy(np.array([Harm()] * 10, object))}), "never objects"),
    "truncated npz": (lambda: FLAT[:-100], "cut short"),
    "truncated zip": (lambda: zipped(pngs())[:-100], "cut short"),
    "truncated PNG": (lambda: zipped({**pngs(9), "9.png": png()[:-40]}), "9.png cannot be read"),
    "polyglot: image, then zip": (lambda: png() + zipped(pngs()), "the file is a PNG image"),
    "polyglot: zip, then page": (lambda: zipped(pngs()) + b"<html><script>", "follows after its zip directory"),
    "polyglot: zip, bytes, zip": (lambda: zipped(pngs()) + bytes(100) + zipped(pngs()), "not a plain zip"),
    "decompression bomb PNG": (lambda: zipped({**pngs(9), "9.png": png_bomb(60_000, 60_000)}), "60000 × 60000 pixels"),
    "PNG with far too many pixel bytes": (lambda: zipped({f"{n}.png": png_bomb(8, 8) for n in range(3)}), "constant"),
    "many large PNGs": (
        lambda: zipped({f"{n}.png": png_bomb(4000, 4000) for n in range(30)}), "images of 4000×4000 need"),
    "many sizes that need too large a canvas": (
        lambda: zipped({"0.png": png_bomb(4000, 60), **{f"{n}.png": png_bomb(60, 4000) for n in range(1, 80)}}),
        "different sizes, kept on one canvas of 4000×4000"),
    "pairs of different sizes": (
        lambda: zipped({**pngs(3, "image/{}.png"), **{f"label/{n}.png": png(n, (9, 8)) for n in range(3)}}),
        "3 labels have another size than their image: image/0.png has 8×8 pixels, label/0.png 8×9"),
    "masks of no classes": (
        lambda: pairs(lambda n: grid(n) % 3 * 100, "mask"), "mask/ holds no masks: the values 0, 100, 200 are no"),
    "masks with a value to ignore": (
        lambda: pairs(lambda n: np.where(grid(n) > 250, 255, grid(n) % 2), "mask"), "values 0, 1, 255 are no classes"),
    "masks of classes from 1": (lambda: pairs(lambda n: grid(n) % 2 + 1, "masks"), "the values 1, 2 are no classes"),
    "masks of one class": (lambda: pairs(lambda n: grid(n) * 0, "mask"), "every pixel is 0"),
    "masks that lost their values": (lambda: pairs(grid, "mask"), "239 different values are too many for classes"),
    "masks in colour": (lambda: pairs(lambda n: pixels(8, 8, 3), "mask"), "mask/ holds no masks: they have colours"),
    "partners of another size in an npz": (
        lambda: npz(x=pixels(10, 8, 8), y=pixels(10, 8, 9)), "an image and its partner have one height and width"),
    "sizes that do not fit": (lambda: npz(x=pixels(10, 8, 8), sizes=np.full((10, 2), 9)), "sizes is int64"),
    "one image": (lambda: zipped(pngs(1)), "holds one sample; at least 3"),
    "one image, not zipped": (png, "is a PNG image; send"),
    "NaN": (lambda: npz(x=BAD_FLOATS), "NaN"),
    "constant": (lambda: npz(x=np.full((10, 8, 8), 7, np.uint8)), "every value of x is 7"),
    "zero images": (lambda: npz(x=np.zeros((0, 8, 8), np.uint8)), "shape"),
    "empty zip": (lambda: zipped({}), "an empty zip"),
    "zip of folders and junk alone": (lambda: zipped({"a/": b"", "__MACOSX/._0.png": b"x"}), "holds no files"),
    "labels without images": (lambda: zipped(pngs(names="label/{}.png")), "labels without images"),
    "labels of IDX without images": (lambda: idx((10,), bytes(range(10))), "labels without images"),
    "masks of other names": (
        lambda: zipped({**pngs(3, "image/{}.png"), **pngs(4, "label/{}.png")}), "1 files in label/ have no image"),
    "wrong IDX magic": (lambda: b"\0\x01" + idx((10, 8, 8), bytes(640))[2:], "nothing that is known"),
    "wrong IDX type": (lambda: idx((10, 8, 8), bytes(640), code=7), "IDX type 0x07"),
    "IDX header of 64 GB": (lambda: idx((2**31, 8, 4)), "at most"),
    "gzip bomb": (lambda: gzip.compress(idx((10, 8, 8), bytes(200 * MIB))), "goes on after"),
    "HTML": (lambda: b"<!DOCTYPE html><html>404</html>", "HTML or XML page"),
    "text": (lambda: b"1,2,3\n" * 100, "the file is text"),
    "tar": (lambda: bytes(257).replace(b"\0", b"a") + b"ustar" + bytes(300), "tar archive"),
    "text beside images": (lambda: zipped({**pngs(), "readme.txt": b"hello there, a text"}), "readme.txt is text"),
    "animation": (
        lambda: zipped({"0.tif": image(pixels(8, 8), "TIFF", save_all=True, append_images=[Image.new("L", (8, 8))])}),
        "2 pictures"),
    "splits as folders": (lambda: zipped({**pngs(5, "train/{}.png"), **pngs(5, "test/{}.png")}), "splits are made"),
    "folders within folders": (lambda: zipped({**pngs(5, "a/b/{}.png"), **pngs(5, "c/{}.png")}), "folders within"),
    "the same name twice": (lambda: zipped({"0.png": png(), "./0.png": png()}), "twice"),
    "too many classes": (lambda: npz(x=pixels(10, 8, 8), y=np.arange(10) * 10**8), "number the classes"),
}  # fmt: skip
"""What is refused: how it is made, and words that the refusal holds."""
