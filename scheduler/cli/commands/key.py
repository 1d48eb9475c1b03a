"""`tidemark key`: create, list, revoke."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.cli.options import Json

if TYPE_CHECKING:
    from db.access.api_keys import ApiKey

app = typer.Typer(help="Keys of the HTTP API.", no_args_is_help=True)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for; the event log shows it.")],
    role: Annotated[str, typer.Option("--role", help="read, operate or admin.")] = "read",
    portfolio: Annotated[
        list[str] | None, typer.Option("--portfolio", help="Limit the key to this portfolio; may be repeated.")
    ] = None,
    expires_in_days: Annotated[
        float | None, typer.Option("--expires-in-days", min=0, help="Days until the key expires; default: never.")
    ] = None,
    interactive: Annotated[
        bool,
        typer.Option("--interactive/--no-interactive", help="Let the key submit jobs with the priority interactive."),
    ] = True,
    json: Json = False,
) -> None:
    """Create a key and show it once; only its hash is stored."""
    from db.access.api_keys import KeyRequest, create_key
    from db.schema.states import KeyRole
    from scheduler.cli.session import open_session
    from scheduler.errors import UsageError

    if role not in list(KeyRole):
        raise UsageError(f"--role expects one of {', '.join(KeyRole)}; got {role!r}")
    request = KeyRequest(name, KeyRole(role), portfolio or None, expires_in_days, interactive)
    with open_session(wants_json=json) as session:
        text, key = create_key(session.engine, request, who=session.who)
        session.output.emit(_document(key) | {"key": text})
        session.output.show(text)
        session.output.say("Store it safely: it will not be shown again.")


@app.command("list")
def list_(json: Json = False) -> None:
    """List every key, including revoked ones."""
    from db.access.api_keys import list_keys
    from scheduler.cli.session import open_session

    with open_session(wants_json=json) as session:
        keys = [_document(key) for key in list_keys(session.engine)]
        session.output.emit({"keys": keys})
        names = ("id", "name", "role", "portfolios", "expires_at", "revoked_at", "last_used_at")
        session.output.show_table(names, [[key[name] for name in names] for key in keys])


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, or the key itself.")], json: Json = False
) -> None:
    """Revoke a key and every key made with it. A running API refuses them within a second."""
    from db.access.api_keys import KEY_PREFIX, revoke_key
    from scheduler.cli.session import open_session

    public_id = key_id.split("_")[1] if key_id.startswith(f"{KEY_PREFIX}_") else key_id
    with open_session(wants_json=json) as session:
        key, *made = revoke_key(session.engine, public_id, who=session.who)
        session.output.emit(_document(key) | {"with_it": [one.public_id for one in made]})
        session.output.show(f"Key {public_id} ({key.name}) is revoked.")
        for one in made:
            session.output.show(f"Key {one.public_id} ({one.name}), which was made with it, is revoked too.")


def _document(key: "ApiKey") -> dict[str, Any]:
    return {
        "id": key.public_id,
        "name": key.name,
        "role": key.role,
        "portfolios": None if key.portfolios is None else list(key.portfolios),
        "created_by": key.created_by,
        "parent": key.parent,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "may_interactive": key.may_interactive,
    }
