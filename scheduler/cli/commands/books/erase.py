"""`tidemark erase`: removes one person's record, scores and rejects, and proves it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.cli.exit_codes import DONE, FAILED, NOT_EVERYWHERE, NOT_YET_GONE, UNKNOWN_KEY
from scheduler.cli.options import Json, PortfolioName

if TYPE_CHECKING:
    from db.erasure.erasure_proof import Erasure, Place
    from scheduler.cli.output import Output

_EXIT_CODES = {
    "erased": DONE,
    "left": FAILED,
    "unknown_key": UNKNOWN_KEY,
    "not_everywhere": NOT_EVERYWHERE,
    "not_yet_gone": NOT_YET_GONE,
}


def erase(
    name: PortfolioName,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the record.")],
    json: Json = False,
) -> int:
    """Erase a person's record, scores, rejects and outcomes, then check that nothing is left.

    Exit codes: 0 erased, nothing is left (also if the key was erased within the last day); 3 something is left in a
    source that Tidemark did not create; 5 the key was not found; 6 a place could not be checked, and the output names
    it; 7 erased, but some bytes remain until another reader of the SQLite file finishes.
    """
    from scheduler.cli.session import open_session
    from scheduler.requests.person_erasure import describe_erasure, erase_person

    with open_session(wants_json=json) as session:
        erasure = erase_person(session.engine, name, key, who=session.who)
        session.output.emit({"portfolio": name} | describe_erasure(erasure))
        _show(session.output, erasure)
        return _EXIT_CODES[erasure.outcome]


def _show(output: "Output", erasure: "Erasure") -> None:
    rows = [(one.name, one.erased, one.left, one.unseen or one.note) for one in erasure.places]
    output.show_table(("place", "erased", "left", "note"), rows)
    messages: dict[str, Any] = {
        "erased": "Nothing is left.",
        "unknown_key": "No such key: it was not found in any of these places.",
        "left": f"Not created by Tidemark; erase it there yourself: {', '.join(_left_in(erasure))}",
        "not_everywhere": _listed("Could not check every place", erasure.unseen),
        "not_yet_gone": _listed("Erased, but not yet removed from", erasure.pending),
    }
    say = output.show if erasure.is_proven else output.say
    say(messages[erasure.outcome])
    output.show(f"Outside Tidemark's control: {'; '.join(erasure.beyond_reach)}.")


def _left_in(erasure: "Erasure") -> list[str]:
    return [name for name, count in erasure.left.items() if count]


def _listed(said: str, places: "tuple[Place, ...]") -> str:
    return "\n".join(f"{said}: {one.name}: {one.unseen or one.note}" for one in places)
