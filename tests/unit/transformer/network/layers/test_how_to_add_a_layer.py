"""The example of docs/how-to-add-a-layer.md is true as it stands there."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from transformer.network.layers.form import FORMS

PAGE = Path(__file__).resolve().parents[5] / "docs" / "how-to-add-a-layer.md"


@pytest.fixture
def forms_as_before() -> Iterator[None]:
    before = dict(FORMS)
    yield
    FORMS.clear()
    FORMS.update(before)
    sys.modules.pop("gated_unit", None)


@pytest.mark.usefixtures("forms_as_before")
def test_a_new_layer_is_scored_and_trained_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, use = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "gated_unit.py").write_text(layer, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    exec(compile(use, "how-to-add-a-layer.md", "exec"), {})
