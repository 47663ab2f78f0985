"""Every script of bench can be begun: what one takes from another is there."""

import importlib
import pkgutil

import pytest

import bench


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(bench.__path__)])
def test_a_script_and_all_that_it_needs_can_be_imported(name):
    assert importlib.import_module(f"bench.{name}").__doc__
