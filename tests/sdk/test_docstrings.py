"""The examples in the SDK's docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import fallom

MODULES = ["fallom", *(f"fallom.{module.name}" for module in pkgutil.iter_modules(fallom.__path__))]


@pytest.mark.usefixtures("sdk")
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"{name} needs what is not installed: {error}")
    assert doctest.testmod(module).failed == 0
