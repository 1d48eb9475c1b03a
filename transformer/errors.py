"""What can go wrong with records, training data and model bundles, in our own words."""


class TransformerError(Exception):
    """Base of every error that `transformer` raises."""


class SchemaError(TransformerError):
    """Records lack a column that the schema names."""

    def __init__(self, column: str, nearest: str | None) -> None:
        self.column = column
        hint = f"; the nearest name is {nearest}" if nearest else ""
        super().__init__(f"the records lack the column {column}{hint}")


class EventsMissingError(SchemaError):
    """The portfolio no longer has events, or a column of them, that a model reads."""

    def __init__(self, events: str, column: str | None = None) -> None:
        self.column = events if column is None else f"{events}.{column}"
        what = f"the events {events}" if column is None else f"the column {column} of the events {events}"
        TransformerError.__init__(
            self,
            f"the model reads {what}, which the portfolio no longer has. Restore it in the portfolio file, or "
            "train a new model with: tidemark train NAME",
        )


class TrainingDataError(TransformerError):
    """The records cannot be learnt from."""

    def __init__(self, problem: str, advice: str) -> None:
        self.problem = problem
        self.advice = advice
        super().__init__(f"{problem}; {advice}")


class BundleError(TransformerError):
    """A model bundle is missing or damaged; nothing of it may be used."""

    def __init__(self, version: str, problem: str) -> None:
        self.version = version
        self.problem = problem
        super().__init__(f"model bundle {version}: {problem}. Restore it from a backup, or train a new model")
