"""Part of pytest: what was imported before the first test is never searched for garbage.

TensorFlow and its like are millions of objects, none of which goes away. Searching them takes seconds each time.
"""

import gc
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Search nothing while modules are imported, and later only what tests make."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
