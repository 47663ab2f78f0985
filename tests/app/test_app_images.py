"""Uploaded pairs, masks and images of different sizes: what is said of them, and which searches they are good for."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from app.dataset_documents import of_catalogue, of_upload
from datasets.catalogue import Listed
from datasets.image_folders import IMAGE_FOLDERS
from store.datasets import Dataset as Row

pytestmark = pytest.mark.anyio


def png(shape, most=256, seed=0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, most, shape, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def upload(client):
    async def upload(members):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return (await client.post("/v1/datasets", files={"file": ("mine.zip", file.getvalue())})).json()

    return upload


@pytest.fixture
def asked(client, body):
    """POST a search on a data set for a task; the refusal's place and words, or the layers of the plan."""

    async def asked(data, **changes):
        answered = await client.post("/v1/searches/estimate", json={**body, "data": data["id"], **changes})
        if answered.status_code == 422:
            (error,) = answered.json()["errors"]
            return error["loc"], error["msg"]
        return [layer["width"] for layer in answered.json()["layers"]]

    return asked


async def test_masks_are_good_for_segmentation_and_images_beside_them_for_the_rest(upload, asked):
    data = await upload({f"{folder}/{n}.png": png((8, 8), most, n) for n in range(9) for folder, most in
                         (("image", 256), ("label", 3))})  # fmt: skip

    assert data["pairs"] == {"kind": "mask", "channels": 1, "classes": 3}
    assert data["warnings"] == ["label/ was read as masks of 3 classes"]
    assert await asked(data, task={"kind": "segment"}, compare=["flat"]) == [32, 16, 3 * 64]
    assert await asked(data) == [32, 16, 64]
    loc, words = await asked(data, task={"kind": "translate"})
    assert (loc, "has masks" in words) == (["task"], True)


async def test_partners_are_good_for_translation_and_not_for_segmentation(upload, asked):
    data = await upload(
        {f"image/{n}.png": png((8, 8), 256, n) for n in range(9)}
        | {f"label/{n}.png": png((8, 8, 3), 256, n) for n in range(9)}
    )

    assert data["pairs"] == {"kind": "image", "channels": 3, "classes": None}
    assert await asked(data, task={"kind": "translate"}) == [32, 16, 3 * 64]
    loc, words = await asked(data, task={"kind": "segment"}, compare=[])
    assert (loc, "segment needs masks" in words) == (["task"], True)


async def test_images_of_different_sizes_are_refused_where_one_size_is_needed(client, upload, asked):
    data = await upload({f"{n}.png": png((8, 8 + n % 4), 256, n) for n in range(9)})

    assert data["sizes"] == {"smallest": [8, 8], "largest": [8, 11], "in_training": True}
    assert (await client.get(f"/v1/datasets/{data['id']}")).json() == data
    loc, words = await asked(data)
    assert (loc, "sizes from 8×8 to 11×8" in words) == (["data"], True)


async def test_pairs_that_do_not_fit_are_refused_at_the_upload(upload):
    said = await upload({"image/a.png": png((8, 8)), "label/b.png": png((8, 8))})
    assert "1 files in label/ have no image of the same name: 'b'" in said["detail"]


def test_what_is_said_of_named_sets(tmp_path):
    for folder in ("bsd400", "set12", "membrane/image", "membrane/label"):
        (tmp_path / folder).mkdir(parents=True)
        for n in range(30):
            (tmp_path / folder / f"{n}.png").write_bytes(b"")
    said = {entry.name: of_catalogue(Listed(entry.name, entry.describe(tmp_path), None)) for entry in IMAGE_FOLDERS[:3]}

    assert said["bsd400"].sizes.model_dump() == {
        "smallest": (180, 180), "largest": (512, 512), "in_training": False,
    }  # fmt: skip
    assert said["bsd400"].splits == {"train": 27, "validation": 3, "test": 30}
    assert said["membrane"].pairs.model_dump() == {"kind": "mask", "channels": 1, "classes": 2}
    assert said["membrane"].sizes is None


def test_what_an_older_version_wrote_of_an_upload_is_still_shown():
    description = {
        "kind": "image", "shape": [1, 8, 8], "classes": None, "targets": None, "count": 10, "splits": {}, "range": None,
        "labels": None, "pairs": {"kind": "mask", "shape": [1, 8, 8]}, "warnings": [], "previews": [],
    }  # fmt: skip
    row = Row("dset_1", "x", "a" * 64, "key", 1, "npz", "f" * 64, description, 1.7e9)
    said = of_upload(row, with_previews=False)
    assert (said.pairs, said.sizes, said.shape) == (None, None, [1, 8, 8])
