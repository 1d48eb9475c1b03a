"""What a process had on the disk when it was killed cannot be read, or goes when the next worker starts."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.contract.scratch import own_folder, remove_leftovers

SECRET = "Ada Lovelace"
TRAINING = f"""
import sys, numpy as np, pandas as pd
from pathlib import Path
from transformer.records.record_store import RecordWriter
writer = RecordWriter(Path(sys.argv[1]) / "scratch", most_bytes=0)
writer.append(pd.DataFrame({{"name": ["{SECRET}"] * 10_000}}))
if sys.argv[2] == "read":
    store = writer.close()
    inputs = store.allocate((1000, 2), np.float64)
    assert store.take(np.arange(3))["name"].tolist() == ["{SECRET}"] * 3
print("ready", flush=True)
sys.stdin.read()
"""
UPLOAD = f"""
import sys
from worker.contract.scratch import own_folder
with own_folder("upload") as folder:
    (folder / "upload.csv").write_text("{SECRET}")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture
def started() -> Iterator[list["subprocess.Popen[str]"]]:
    """Processes that end with the test."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(started: list["subprocess.Popen[str]"], program: str, *arguments: str) -> tuple["subprocess.Popen[str]", str]:
    """Run a program until it says that it is ready; return it, and what it said."""
    command = [sys.executable, "-c", program, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    started.append(process)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@pytest.mark.skipif(sys.platform == "win32", reason="files have a name there until they are closed")
@pytest.mark.parametrize("moment", ["written", "read"])
def test_a_training_that_is_killed_leaves_no_record_on_the_disk(
    tmp_path: Path, started: list["subprocess.Popen[str]"], moment: str
) -> None:
    process, said = start(started, TRAINING, str(tmp_path), moment)
    assert said == "ready"
    assert _holders_of(SECRET, tmp_path) == [], "not even while it works"
    process.kill()
    process.wait()
    assert _holders_of(SECRET, tmp_path) == []
    assert (tmp_path / "scratch").stat().st_mode & 0o777 == 0o700


def test_an_upload_of_a_killed_process_goes_when_a_worker_starts_and_that_of_a_living_one_stays(
    tmp_path: Path, started: list["subprocess.Popen[str]"]
) -> None:
    killed, of_killed = start(started, UPLOAD)
    _, of_living = start(started, UPLOAD)
    killed.kill()
    killed.wait()
    assert Path(of_killed).stat().st_mode & 0o777 == 0o700
    with own_folder("upload") as mine:
        assert remove_leftovers(tmp_path / "scratch") == 1
        assert mine.is_dir()
    assert not mine.exists()
    assert not Path(of_killed).exists()
    assert (Path(of_living) / "upload.csv").read_text() == SECRET


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only there the system tells who holds a file")
def test_a_file_that_an_older_release_left_goes_unless_a_process_holds_it(tmp_path: Path) -> None:
    left, held = tmp_path / "tidemark-book-left", tmp_path / "tidemark-book-held"
    left.write_text(SECRET)
    with held.open("w"):
        assert remove_leftovers(tmp_path) == 1
        assert [path.name for path in tmp_path.glob("tidemark-book-*")] == ["tidemark-book-held"]


def _holders_of(secret: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
