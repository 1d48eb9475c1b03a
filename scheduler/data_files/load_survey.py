"""Collects what scoring will reject from a loaded file: texts instead of numbers, by column, with examples."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from db.events.wording import counted
from db.sources.source_table import DECIMAL_COMMA, UNREADABLE

_EXAMPLES = 3


@dataclass
class LoadSurvey:
    """Counts while the frames of a file go by."""

    records: int = 0
    unreadable_records: int = 0
    counts: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def watch(self, frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Yield the frames as they are."""
        for frame in frames:
            self._look(frame)
            yield frame

    @property
    def unreadable(self) -> dict[str, dict[str, Any]]:
        """Unreadable values by column, most first: their number and some examples."""
        return {name: {"values": count, "examples": self.examples[name]} for name, count in self.counts.most_common()}

    @property
    def warnings(self) -> list[str]:
        """The same as sentences, with advice; empty if everything could be read."""
        if not self.counts:
            return []
        columns = [
            f"{name}: {counted(count, 'value')} cannot be read as a number, "
            f"such as {', '.join(map(repr, self.examples[name]))}"
            for name, count in self.counts.most_common()
        ]
        share = f"{self.unreadable_records:,} of {counted(self.records, 'record')}"
        advice = "write numbers with a decimal point, as in 1234.56" if self._has_commas else "correct them"
        return [*columns, f"Scoring will reject and training will skip {share}: {advice}, and load the file again."]

    @property
    def _has_commas(self) -> bool:
        texts = [text for examples in self.examples.values() for text in examples]
        return 2 * sum(DECIMAL_COMMA.match(text) is not None for text in texts) > len(texts)

    def _look(self, frame: pd.DataFrame) -> None:
        self.records += len(frame)
        for unreadable in frame[UNREADABLE].dropna():
            self.unreadable_records += 1
            for name, text in json.loads(unreadable).items():
                self.counts[name] += 1
                examples = self.examples.setdefault(name, [])
                if len(examples) < _EXAMPLES and text not in examples:
                    examples.append(text)
