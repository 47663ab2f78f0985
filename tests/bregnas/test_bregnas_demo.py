"""The demos post what their page says, and the photo of one has the noise that it should."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from bregnas import photo
from bregnas.demo import MLP, UNET
from spec import SearchSpec

PAGE = Path(__file__).parents[2] / "docs" / "unet.md"


def test_the_search_of_the_page_on_unets_is_the_one_of_the_demo():
    (block,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert {**UNET, **json.loads(block)} == UNET
    assert all(SearchSpec.model_validate(search).seeds is None for search in (MLP, UNET))


def test_noise_has_the_deviation_asked_for_and_psnr_is_that_of_numpy(tmp_path):
    clean, noisy = photo.write(tmp_path, 0.1)
    before, after = photo.read(clean), photo.read(noisy)
    inside = (before > 0.4) & (before < 0.6)  # far enough from where it is cut off
    assert np.std((after - before)[inside]) == pytest.approx(0.1, rel=0.02)
    assert photo.psnr(noisy, clean) == pytest.approx(10 * np.log10(1 / np.var(after - before)), abs=0.2)
    assert photo.psnr(noisy, clean) > 20  # what is cut off is noise too
