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
    file = DATA / path.stem / "data.parquet"
    if not file.exists():
        pytest.skip(f"the records of {path.stem} are not at ../shared/data")
    definition = read_portfolio_file(path)
    wanted = {definition.key, definition.target, *definition.input_columns}
    assert wanted <= set(pq.read_schema(file).names)
