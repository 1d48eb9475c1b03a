"""A scoring process holds what scoring needs: no plots and no statistics of training, which may still be imported."""

import subprocess
import sys

import pytest

_PROGRAM = """
import sys
import worker.process.tensorflow_threads
import worker.scoring.model_cache, worker.scoring.shard_scoring
print([name for name in ("matplotlib", "PIL", "sklearn") if name in sys.modules])
import matplotlib.pyplot, PIL.Image, sklearn.metrics
print(sklearn.metrics.roc_auc_score([0, 1], [0.1, 0.2]))
"""


@pytest.mark.long
def test_a_scoring_process_holds_no_plots_and_no_statistics_of_training() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "1.0"], done.stderr
