"""Every example portfolio fits the real records it is written for."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scheduler.portfolio_files.reader import read_portfolio_file

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
EXAMPLES = sorted((ROOT / "examples" / "portfolios").glob("*.toml"))


@pytest.mark.real_data
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_column_of_an_example_is_in_its_records(path: Path) -> None:
    folder, definition = DATA / path.stem, read_portfolio_file(path)
    file = folder / ("records.parquet" if definition.events else "data.parquet")
    if not file.exists():
        pytest.skip(f"the records of {path.stem} are not at ../shared/data")
    wanted = {definition.key, definition.target, definition.moment, *definition.input_columns} - {None}
    assert wanted <= set(pq.read_schema(file).names)
    for events in definition.events:
        names = pq.read_schema(folder / "events.parquet").names
        assert {events.key, events.at, *events.columns} <= set(names)
