"""Files outside the database that may contain a person, counted on this machine for an erasure."""

import tempfile
from pathlib import Path

from db.erasure.erasure_proof import Place
from db.events.wording import counted

_UPLOADS = "tidemark-upload-*"
_TRAININGS = ("tidemark-book-*", "tidemark-inputs-*")


def look_at_files(home: Path) -> tuple[Place, ...]:
    """Return the places outside of the database, each with a remark."""
    scratch = home.expanduser().resolve() / "scratch"
    uploads = len(list(Path(tempfile.gettempdir()).glob(_UPLOADS)))
    trainings = sum(len(list(scratch.glob(pattern))) for pattern in _TRAININGS)
    under_way = (
        f"{counted(uploads, 'upload')}, {counted(trainings, 'training file')} on this machine; deleted when they end"
    )
    return (
        Place("uploads and trainings in progress", note=under_way),
        Place("model bundles", note="contain no records; tidemark doctor lists those of older releases that do"),
    )
