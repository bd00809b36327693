"""The examples in the SDK's docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import fallom

MODULES = ["fallom", *(module.name for module in pkgutil.walk_packages(fallom.__path__, "fallom."))]


@pytest.mark.usefixtures("sdk")
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"{name} needs what is not installed: {error}")
    assert doctest.testmod(module).failed == 0
