"""Writes a bundle of an older release anew without the records in it; every score stays the same to the bit.

Its edges and names stay too, since scores depend on them: single values that few records may share, of nobody named.
"""

import json
from typing import Any

from transformer.bundles.bundle import MODEL, load_bundle, people_in, publish_contents
from transformer.bundles.held_out_scores import HELD_OUT, HeldOutScores
from transformer.bundles.manifest import fetch_checked, read_manifest
from transformer.errors import BundleError
from transformer.evaluation.card_text import write_markdown
from transformer.evaluation.model_card import CARD_JSON, CARD_MARKDOWN
from transformer.events.event_canary import with_event_canary
from transformer.records.features import FeatureTransform
from transformer.records.holders import LEAST_HOLDERS
from transformer.scoring.canary_check import check_canary, freeze_canary
from transformer.scoring.scorer import Scorer


def scrub_bundle(models_url: str, version: str, *, secret: bytes) -> str:
    """Write the bundle anew and return its new version; the old one stays. `secret` hashes held-out keys.

    The same bundle and secret give the same version. Raises `BundleError`, also where the new one scores otherwise.
    """
    contents = fetch_checked(models_url, version, read_manifest(models_url, version))
    model = load_bundle(models_url, version)
    canary = with_event_canary(freeze_canary(Scorer(model, version)), model.schema)
    document = json.loads(contents[MODEL])
    if document.get("reference") is not None:
        document["reference"]["canary"] = canary.to_document()
    if document.get("reasons") is not None:
        _hide_names(document["reasons"]["reference"], model.transform)
    contents[MODEL] = json.dumps(document, sort_keys=True, ensure_ascii=False).encode()
    if HELD_OUT in contents:
        contents[HELD_OUT] = HeldOutScores.from_bytes(contents[HELD_OUT]).keyed(secret).to_bytes()
    if CARD_JSON in contents:
        contents |= _scrub_card(json.loads(contents[CARD_JSON]), model.transform, tuple(contents))
    new = publish_contents(contents, models_url, people=people_in(model.transform))
    again = check_canary(canary, Scorer(load_bundle(models_url, new), new))
    if again.mismatches:
        raise BundleError(new, f"{again.mismatches} of {again.records} scores are not those of {version}")
    return new


def _scrub_card(card: dict[str, Any], transform: FeatureTransform, names: tuple[str, ...]) -> dict[str, bytes]:
    card["segments"] = [one for one in card["segments"] if one["rows"] >= LEAST_HOLDERS]
    if card.get("reasons") is not None:
        _hide_names(card["reasons"]["reference_record"], transform)
    pictures = tuple(name for name in names if name.endswith(".png"))
    text = write_markdown(card, pictures=pictures)
    return {CARD_JSON: json.dumps(card, indent=1, ensure_ascii=False).encode(), CARD_MARKDOWN: text.encode()}


def _hide_names(record: dict[str, Any], transform: FeatureTransform) -> None:
    """Take names out of the record of ordinary values that the transform does not know, for being too rare."""
    for column, value in record.items():
        known = transform.categories.get(transform.learnt_as[column])
        if known is not None and value not in known:
            record[column] = None
