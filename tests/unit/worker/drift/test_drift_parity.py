"""The drift figures equal scipy's and the peers' on fixed cases, which lie beside the repository."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scheduler.cli.commands.models.drift import comparison_document
from scheduler.data_files.score_file import read_score_file
from worker.drift import Distribution, compare, expected_auc

PARITY = Path(__file__).parents[4].parent / "shared" / "parity"
CASES = sorted(path.stem.removeprefix("case_") for path in PARITY.glob("case_*.csv"))

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not CASES, reason="the parity cases are not at ../shared/parity"),
]


def sides(case: str) -> tuple[np.ndarray, np.ndarray]:
    frame = pd.read_csv(PARITY / f"case_{case}.csv")
    reference, current = (frame[frame["sample"] == side]["score"].to_numpy(np.float64) for side in ("ref", "cur"))
    return reference, current


def peers(case: str) -> dict[str, Any]:
    return json.loads((PARITY / "peers.json").read_text())["cases"][case]["definition_10_reference_quantile_bins"]


def written(folder: Path, case: str, suffix: str) -> dict[str, Any]:
    """The document of `drift compare` on the case's two sides, written as files."""
    paths = [folder / f"{side}.{suffix}" for side in ("reference", "current")]
    for path, values in zip(paths, sides(case), strict=True):
        frame = pd.DataFrame({"score": values})
        frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, index=False)
    return comparison_document(read_score_file(paths[0]), read_score_file(paths[1]))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("case", CASES)
def test_ks_and_wasserstein_equal_scipy(case: str, suffix: str, tmp_path: Path) -> None:
    found = written(tmp_path, case, suffix)
    reference, current = (values[~np.isnan(values)] for values in sides(case))
    assert found["ks"] == pytest.approx(stats.ks_2samp(reference, current).statistic, abs=1e-12)
    assert found["wasserstein"] == pytest.approx(stats.wasserstein_distance(reference, current), abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_psi_is_our_definition_exactly(case: str) -> None:
    reference, current = (Distribution.of_values(values[~np.isnan(values)]) for values in sides(case))
    figures, expected = compare(reference, current), peers(case)
    assert figures.psi == pytest.approx(expected["psi_add_half"], abs=1e-12)
    assert figures.psi - figures.psi_corrected == pytest.approx(expected["psi_bias_null"], abs=1e-12)
    assert figures.jensen_shannon == pytest.approx(expected["js_distance_base2_same_bins"], abs=1e-12)
    assert (figures.n_reference, figures.n_current) == (expected["n_ref"], expected["n_cur"])


def test_a_rise_of_unscorable_records_counts_as_a_bin_of_its_own(tmp_path: Path) -> None:
    found = written(tmp_path, "with_nan", "csv")
    assert (found["unscorable_reference"], found["unscorable_current"]) == (217, 568)
    assert found["psi"] > 10 * peers("with_nan")["psi_add_half"]


def test_ten_records_are_too_few_for_a_verdict(tmp_path: Path) -> None:
    assert written(tmp_path, "tiny", "csv")["verdict"] == "insufficient"


def test_the_expected_auc_equals_the_closed_form() -> None:
    document = json.loads((PARITY / "peers.json").read_text())["estimated_auc"]
    night = Distribution.of_values(pd.read_csv(PARITY / "cbpe_analysis.csv")["p"].to_numpy(np.float64))
    peer = document["nannyml_estimate_roc_auc(p,p)_no_calibration"]
    assert expected_auc(night.values, night.counts) == pytest.approx(peer, abs=1e-6)
