"""How a message puts a count before its noun."""


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return the count with its noun in the right number; `plural` is for nouns that the usual rules get wrong.

    >>> counted(1, "shard"), counted(2_500, "shard"), counted(0, "history")
    ('1 shard', '2,500 shards', '0 histories')
    """
    return f"{count:,} {noun if count == 1 else plural or _plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")
