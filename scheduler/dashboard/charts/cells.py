"""A square of a job's map: one shard, or several neighbours if a job has very many."""

from dataclasses import dataclass

from db.ledger.shard_map import ShardGroup
from db.schema.states import ShardState

# The state of a cell with several shards: the most urgent first.
_NOTABLE = (
    ShardState.FAILED, ShardState.RUNNING, ShardState.WAITING, ShardState.CANCELLED, ShardState.SPLIT, ShardState.DONE,
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One square of the map, in the most urgent state of its shards."""

    group: ShardGroup

    @property
    def state(self) -> ShardState:
        """The state shown by its colour."""
        return min(self.group.states, key=_NOTABLE.index)

    @property
    def said(self) -> str:
        """A description in words.

        >>> Cell(ShardGroup(2, 2, {ShardState.DONE: 1}, 0)).said
        'shard 2: done'
        >>> Cell(ShardGroup(0, 3, {ShardState.DONE: 3, ShardState.FAILED: 1}, 0)).said
        'shards 0 to 3: 1 failed, 3 done'
        """
        group = self.group
        if group.first == group.last:
            return f"shard {group.first}: {self.state}"
        states = [f"{group.states[state]} {state}" for state in _NOTABLE if state in group.states]
        return f"shards {group.first} to {group.last}: {', '.join(states)}"
