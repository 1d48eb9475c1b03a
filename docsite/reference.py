"""The reference that is read off the code: commands, endpoints, settings, tables, states."""

import inspect
import tempfile
from collections.abc import Callable, Iterable
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from db.connections.engine import opened_engine
from db.schema import states
from db.schema.all_tables import metadata
from db.settings import DatabaseSettings
from scheduler.api_settings import ApiSettings
from scheduler.cli.main import app
from scheduler.server.app import create_app
from scheduler.settings import SchedulerSettings
from worker.runtime.settings import WorkerSettings

SETTINGS: tuple[type[BaseSettings], ...] = (DatabaseSettings, WorkerSettings, SchedulerSettings, ApiSettings)
_MOVES: dict[type[StrEnum], Any] = {
    states.JobState: states.JOB_MOVES,
    states.ShardState: states.SHARD_MOVES,
    states.ScheduleState: states.SCHEDULE_MOVES,
}


def list_commands() -> dict[str, Any]:
    """Every command by its full name, such as `job show`."""
    found: dict[str, Any] = {}

    def walk(command: Any, prefix: str) -> None:
        children: dict[str, Any] = getattr(command, "commands", {})
        if not children:
            found[prefix] = command
        for name, child in children.items():
            walk(child, f"{prefix} {name}".strip())

    walk(typer.main.get_command(app), "")
    return found


def describe_api() -> dict[str, Any]:
    """The OpenAPI document of the HTTP API."""
    with tempfile.TemporaryDirectory() as folder, opened_engine(f"sqlite:///{Path(folder) / 'empty.db'}") as engine:
        return create_app(engine, ApiSettings(home=Path(folder)), SchedulerSettings(home=Path(folder))).openapi()


def list_states() -> dict[str, type[StrEnum]]:
    """Every enumeration of states and causes by its name."""
    return {
        name: kind
        for name, kind in vars(states).items()
        if inspect.isclass(kind) and issubclass(kind, StrEnum) and kind is not StrEnum
    }


def write_commands() -> str:
    """Every command with its arguments and options."""
    lines = ["# Every command", "", "The same as `--help` says. `tidemark` stands for `python3 run.py tidemark`.", ""]
    for name, command in list_commands().items():
        lines += [f"## tidemark {name}", "", _cell(command.help or ""), ""]
        rows = [
            (
                _code(" / ".join([*one.opts, *one.secondary_opts]) if one.param_type_name == "option" else one.name),
                _code(_kind(one)),
                _cell(getattr(one, "help", "") or ""),
                _code(_default(one.default)),
            )
            for one in command.params
        ]
        lines += _table(("argument or option", "takes", "meaning", "default"), rows)
    return "\n".join(lines)


def write_endpoints() -> str:
    """Every endpoint with its parameters and answers."""
    lines = ["# Every endpoint", "", "`GET /openapi.json` of a running API shows the same, with every schema.", ""]
    for path, methods in describe_api()["paths"].items():
        for method, operation in methods.items():
            lines += [f"## {method.upper()} {path}", "", _cell(operation.get("summary", "")), ""]
            if operation.get("description"):
                lines += [_cell(operation["description"]), ""]
            rows = [
                (_code(one["name"]), one["in"], "yes" if one.get("required") else "no", _cell(one.get("description")))
                for one in operation.get("parameters", [])
            ]
            lines += _table(("parameter", "in", "required", "meaning"), rows)
            rows = [(_code(status), _cell(one.get("description"))) for status, one in operation["responses"].items()]
            lines += _table(("answer", "meaning"), rows)
    return "\n".join(lines)


def write_settings() -> str:
    """Every setting with its default."""
    lines = ["# Every setting", "", "Read from the environment once, when a process starts.", ""]
    for kind in SETTINGS:
        lines += [f"## {kind.__name__}", "", _cell(inspect.getdoc(kind)), ""]
        rows = [
            (_code(f"TIDEMARK_{name.upper()}"), _code(_default(field.default)), _cell(field.description))
            for name, field in kind.model_fields.items()
        ]
        lines += _table(("setting", "default", "meaning"), rows)
    return "\n".join(lines)


def write_tables() -> str:
    """Every table with its columns, constraints and indexes."""
    lines = ["# Every table", "", "Write to none of them; [database](../docs/database.md) says what one row is.", ""]
    for name, table in metadata.tables.items():
        lines += [f"## {name}", ""]
        rows = [
            (
                _code(column.name),
                _code(str(column.type)),
                "yes" if column.nullable else "no",
                "yes" if column.primary_key else "",
                ", ".join(_code(key.target_fullname) for key in column.foreign_keys),
            )
            for column in table.columns
        ]
        lines += _table(("column", "type", "may be NULL", "key", "refers to"), rows)
        rules = sorted((str(one.name), str(one.sqltext)) for one in table.constraints if hasattr(one, "sqltext"))
        lines += _table(("rule", "must hold"), [(_code(rule), _code(text)) for rule, text in rules])
        indexes = sorted((str(one.name), ", ".join(str(part) for part in one.expressions)) for one in table.indexes)
        lines += _table(("index", "on"), [(_code(index), _code(text)) for index, text in indexes])
    return "\n".join(lines)


def write_states() -> str:
    """Every state and cause, with the legal moves."""
    lines = ["# Every state and cause", "", "Moves that are not listed are refused.", ""]
    for name, kind in list_states().items():
        lines += [f"## {name}", "", _cell(inspect.getdoc(kind)), ""]
        moves = _MOVES.get(kind)
        if moves is None:
            lines += _table(("value",), [(_code(one.value),) for one in kind])
            continue
        rows = [(_code(one.value), ", ".join(_code(to) for to in sorted(moves[one])) or "final") for one in kind]
        lines += _table(("value", "may become"), rows)
    return "\n".join(lines)


REFERENCE: dict[str, Callable[[], str]] = {
    "commands": write_commands,
    "endpoints": write_endpoints,
    "settings": write_settings,
    "tables": write_tables,
    "states": write_states,
}


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    listed = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *listed, ""] if listed else []


def _cell(text: str | None) -> str:
    """Text that breaks neither a table nor its line."""
    return " ".join((text or "").split()).replace("|", "\\|").replace("<", "&lt;")


def _code(text: str) -> str:
    return f"`{' '.join(text.split()).replace('|', chr(92) + '|')}`" if text else ""


def _kind(parameter: Any) -> str:
    """What stands after an option: nothing after a flag, else its placeholder or the kind of its value."""
    if getattr(parameter, "is_flag", False):
        return ""
    annotation = parameter.type_descriptor.annotation
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        return ", ".join(str(one.value) for one in annotation)
    return parameter.metavar or getattr(annotation, "__name__", str(annotation))


def _default(value: object) -> str:
    """A default as it would be typed; nothing if there is none, or where it is secret or made at run time."""
    if value is None or callable(value) or isinstance(value, SecretStr) or "Undefined" in repr(value):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
