"""`tidemark erase`: removes one person's record, scores and rejects, and proves it."""

from typing import Annotated

import typer

from scheduler.cli.exit_codes import DONE, FAILED
from scheduler.cli.options import Json, PortfolioName


def erase(
    name: PortfolioName,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the record.")],
    json: Json = False,
) -> int:
    """Erase a person's record, scores, rejects and outcomes, then count again: nothing may be left."""
    from scheduler.cli.session import open_session
    from scheduler.privacy import erase_person

    with open_session(wants_json=json) as session:
        erasure = erase_person(session.engine, name, key, who=session.who)
        document = {"portfolio": name, "erased": erasure.erased, "left": erasure.left, "proven": erasure.is_proven}
        session.output.emit(document | {"foreign": list(erasure.foreign)})
        rows = [(table, erasure.erased.get(table, 0), left) for table, left in erasure.left.items()]
        session.output.show_table(("table", "erased", "left"), rows)
        if not erasure.is_proven:
            session.output.say(f"Not made by Tidemark, erase it there yourself: {', '.join(erasure.foreign)}")
            return FAILED
        session.output.show("Nothing is left.")
        return DONE
