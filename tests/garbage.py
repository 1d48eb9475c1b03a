"""Part of pytest: what is there before the first test is never searched for garbage.

TensorFlow and its like are millions of objects. To search them costs seconds each time, and none of them goes away.
"""

import gc

import pytest


def pytest_configure() -> None:
    """While modules are imported, nothing is garbage."""
    gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """From now on search only what tests make."""
    gc.freeze()
    gc.enable()
