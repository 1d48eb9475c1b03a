"""The memory of a process and its children, according to the operating system."""

from pathlib import Path

_PROC = Path("/proc")
_PROPORTIONAL = "Pss:"  # pages that several processes share count once in all, as children share their parent's


def held_bytes(pid: int, proc: Path = _PROC) -> int | None:
    """Return the bytes of a process and all below it; None if the system does not say, as outside Linux."""
    own = _proportional_bytes(proc / str(pid))
    if own is None:
        return None
    return own + sum(held_bytes(child, proc) or 0 for child in _children_of(proc / str(pid)))


def _proportional_bytes(folder: Path) -> int | None:
    try:
        lines = (folder / "smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # it ended at this moment, or is another user's
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith(_PROPORTIONAL)), None)
    return None if kilobytes is None else int(kilobytes) * 1024


def _children_of(folder: Path) -> list[int]:
    try:
        return [int(one) for path in folder.glob("task/*/children") for one in path.read_text().split()]
    except OSError:
        return []
