"""What each extra of the package brings is enough for the part that it is named after."""

import pytest

from tests.installed import run_with_extras

IMPORTING = "import importlib\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\nprint('imported')"
RUNNING = "from scheduler.cli.entry import main\nsys.exit(main())"
FAILED = 3


@pytest.mark.parametrize(
    ("extra", "modules"),
    [
        ("server", ("scheduler.server.process", "scheduler.loop.process", "scheduler.installation.foreground")),
        ("scoring", ("worker.process.app", "worker.scoring.overlapped_scoring", "worker.scoring.online_scoring")),
        ("training", ("worker.training.next_job", "worker.monitoring.next_job", "transformer.precompile")),
    ],
)
def test_a_part_starts_with_its_extra_alone(extra: str, modules: tuple[str, ...]) -> None:
    done = run_with_extras([extra], IMPORTING, *modules)
    assert done.stdout.splitlines()[-1:] == ["imported"], done.stderr[-1500:]


def test_the_server_brings_no_tensorflow() -> None:
    done = run_with_extras(["server"], IMPORTING, "tensorflow")
    assert "No module named 'tensorflow'" in done.stderr


def test_a_command_beside_the_client_alone_names_the_extras() -> None:
    done = run_with_extras([], RUNNING, "score", "book")
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert "pip install 'tidemark[all]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("api",), "server"),
        (("scheduler",), "server"),
        (("up",), "server"),
        (("worker", "--queues", "training"), "training"),
        (("worker",), "training"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_a_part_that_is_not_installed_is_named_with_its_extra(
    arguments: tuple[str, ...], extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path))
    done = run_with_extras(["scoring"], RUNNING, *arguments)
    assert done.returncode == FAILED, done.stderr
    assert extra in done.stderr.splitlines()[-1]
    assert "pip install 'tidemark[" in done.stderr
    assert "Traceback" not in done.stderr
