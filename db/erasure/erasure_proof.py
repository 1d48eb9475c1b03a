"""The proof of an erasure: each place checked, what was erased and what is left there, and what cannot be checked."""

from dataclasses import dataclass
from enum import StrEnum

# What Tidemark cannot check; listed with every erasure.
BEYOND_REACH = (
    "backups of the database and of the models",
    "files exported earlier, and the page of at most 50,000 records that a running export had already sent",
    "answers to online requests and webhook messages that were sent earlier",
    "what a model has learned from the record",
    "files that were loaded: loading one that still contains the key brings the person back",
)
BEYOND_POSTGRESQL = ("PostgreSQL's own files: deleted rows until VACUUM has run, the write-ahead log, replicas",)


class Outcome(StrEnum):
    """The outcome of an erasure; programs may rely on these codes."""

    ERASED = "erased"  # everything was looked at and nothing is left
    UNKNOWN_KEY = "unknown_key"  # everything was looked at and the key was nowhere
    LEFT = "left"  # something is left that is not Tidemark's to erase
    NOT_YET_GONE = "not_yet_gone"  # erased, but bytes stay where someone still reads
    NOT_EVERYWHERE = "not_everywhere"  # there is a place that could not be looked at


@dataclass(frozen=True)
class Place:
    """A place that may contain a person: rows or files erased there, and left there.

    `unseen` says why it could not be checked, and what to do; `note` is a remark. What is left in a
    place that `is_pending` is erased already, and goes when someone stops reading it.
    """

    name: str
    erased: int = 0
    left: int = 0
    unseen: str | None = None
    note: str | None = None
    is_pending: bool = False


@dataclass(frozen=True)
class Erasure:
    """The result of an erasure. `foreign` are sources that Tidemark may not change."""

    places: tuple[Place, ...]
    foreign: tuple[str, ...]
    beyond_reach: tuple[str, ...]
    was_erased_before: bool

    @property
    def erased(self) -> dict[str, int]:
        """Rows erased, by place."""
        return {one.name: one.erased for one in self.places}

    @property
    def left(self) -> dict[str, int]:
        """Rows left, by place."""
        return {one.name: one.left for one in self.places}

    @property
    def unseen(self) -> tuple[Place, ...]:
        """The places that could not be checked."""
        return tuple(one for one in self.places if one.unseen is not None)

    @property
    def pending(self) -> tuple[Place, ...]:
        """The places where bytes still remain."""
        return tuple(one for one in self.places if one.is_pending)

    @property
    def outcome(self) -> Outcome:
        """The outcome; the worst that applies."""
        if self.unseen:
            return Outcome.NOT_EVERYWHERE
        if self.pending:
            return Outcome.NOT_YET_GONE
        if any(self.left.values()):
            return Outcome.LEFT
        is_known = self.was_erased_before or any(self.erased.values())
        return Outcome.ERASED if is_known else Outcome.UNKNOWN_KEY

    @property
    def is_proven(self) -> bool:
        """Whether the person was found, every place was checked, and nothing is left."""
        return self.outcome is Outcome.ERASED
