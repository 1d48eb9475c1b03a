"""JSON pointers (RFC 6901) to mistakes in a body: to an existing place or to a missing member."""

from collections.abc import Sequence
from typing import Any, cast


def pointer_to(path: Sequence[str | int], body: Any, *, is_missing: bool = False) -> str:
    """Return the pointer of a path. Parts that a validator adds, such as the name of a type, are left out.

    With `is_missing` the last part names what its parent lacks.

    >>> pointer_to(("records", 0, "income", "float"), {"records": [{"income": "much"}]})
    '#/records/0/income'
    >>> pointer_to(("records",), {}, is_missing=True)
    '#/records'
    """
    *parents, last = path or ("",)
    found: list[str | int] = []
    here = body
    for part in parents:
        here, found = _step(here, part, found)
    if is_missing and isinstance(here, dict) and last not in here:
        found = [*found, last]
    elif path:
        _, found = _step(here, last, found)
    return pointer_of(found)


def pointer_of(path: Sequence[str | int]) -> str:
    """Return the pointer of a path as it is."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _step(here: Any, part: str | int, found: list[str | int]) -> tuple[Any, list[str | int]]:
    """Return the member and the path to it; the same place again where it has no such member."""
    if isinstance(here, dict) and part in here:
        return cast("dict[str | int, Any]", here)[part], [*found, part]
    if isinstance(here, list) and isinstance(part, int) and part < len(cast("list[Any]", here)):
        return cast("list[Any]", here)[part], [*found, part]
    return here, found
