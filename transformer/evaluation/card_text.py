"""A model card as Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

NAMES = {
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "ks": "KS",
    "gini": "Gini",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "accuracy": "Accuracy (cut at one half)",
    "calibration_slope": "Calibration slope (1 is perfect)",
    "calibration_intercept": "Calibration intercept (0 is perfect)",
}
_MOST_CODES = 20


def write_markdown(document: dict[str, Any], *, pictures: Sequence[str]) -> str:
    """Return the card's text; `pictures` are its image files."""
    sections = [
        _head(document),
        _facts("Data", document["data"]),
        _facts("Preparation", document["preparation"]),
        _facts("Training", document["training"]),
        _figures(document),
        _picture(pictures, "ranking.png", "ROC curve, precision and recall"),
        _calibration(document, pictures),
        _distribution(document, pictures),
        _folds(document),
        _segments(document),
        _reasons(document, pictures),
        "## Limits\n\n" + "\n".join(f"- {one}" for one in document["limits"]),
    ]
    return "\n\n".join(one for one in sections if one) + "\n"


def _head(document: dict[str, Any]) -> str:
    held_out = document["held_out"]
    basis = f"measured on {held_out['rows']:,} held-out records, {held_out['bad_rate']:.2%} of them bad"
    return f"# Model card: {document['title']}\n\nFigures are {basis}; intervals are 95 %."


def _facts(title: str, facts: dict[str, Any]) -> str:
    if not facts:
        return ""
    return f"## {title}\n\n" + _table(
        ("", ""), ((_words(name), _shown(value)) for name, value in facts.items() if value is not None)
    )


def _figures(document: dict[str, Any]) -> str:
    figures = document["held_out"]["figures"]
    rows = (
        (NAMES[name], f"{one['value']:.4f}", f"{one['low']:.4f} to {one['high']:.4f}") for name, one in figures.items()
    )
    return "## Figures\n\n" + _table(("figure", "value", "95 % interval"), rows)


def _calibration(document: dict[str, Any], pictures: Sequence[str]) -> str:
    rows = (
        (f"{one['rows']:,}", f"{one['predicted']:.4f}", f"{one['observed']:.4f}")
        for one in document["calibration_curve"]
    )
    table = _table(("records", "predicted", "observed"), rows)
    picture = _picture(pictures, "calibration.png", "Calibration curve")
    return f"## Calibration\n\nTenths of the held-out records, safest first.\n\n{picture}\n\n{table}"


def _distribution(document: dict[str, Any], pictures: Sequence[str]) -> str:
    rows = (
        (f"{one['from']} to {one['to']}", f"{one['good']:,}", f"{one['bad']:,}")
        for one in document["score_distribution"]
    )
    picture = _picture(pictures, "distribution.png", "Distribution of points")
    return f"## Scores\n\n{picture}\n\n" + _table(("points", "good", "bad"), rows)


def _folds(document: dict[str, Any]) -> str:
    folds = document["folds"]
    if not folds:
        return ""
    rows = (
        (
            NAMES[name],
            f"{one['mean']:.4f}",
            f"{one['low']:.4f} to {one['high']:.4f}",
            ", ".join(f"{v:.4f}" for v in one["values"]),
        )
        for name, one in folds["figures"].items()
    )
    basis = f"{folds['folds']} folds, {folds['by']}; every record is scored by a model that was not trained on it"
    return f"## Cross-validation\n\n{basis}.\n\n" + _table(("figure", "mean", "95 % interval", "folds"), rows)


def _segments(document: dict[str, Any]) -> str:
    if not document["segments"]:
        return ""
    rows = (
        (
            *(
                one["column"],
                one["value"],
                f"{one['rows']:,}",
                f"{one['bad_rate']:.2%}",
                f"{one['mean_probability']:.2%}",
            ),
            *(_interval(one["figures"].get(name)) for name in ("roc_auc", "brier", "calibration_slope")),
        )
        for one in document["segments"]
    )
    names = ("column", "segment", "records", "bad", "predicted", "ROC AUC", "Brier", "calibration slope")
    return "## Segments\n\n" + _table(names, rows)


def _reasons(document: dict[str, Any], pictures: Sequence[str]) -> str:
    reasons = document["reasons"]
    if reasons is None:
        return ""
    who = {"population": "all training records", "good": "the good training records"}[reasons["reference"]]
    explanation = (
        f"Reason codes compare a record with the typical values of {who}. The head that computes them "
        f"explains {reasons['agreement']:.1%} of the variance of exact effects on records that it was not trained on."
    )
    reference = reasons["reference_record"]
    rows = (
        (one["code"], f"{one['importance']:.4f}", _shown(reference[_column_of(one["code"])]), one["text"] or "")
        for one in reasons["importance"][:_MOST_CODES]
    )
    picture = _picture(pictures, "importance.png", "Importance")
    table = _table(("code", "mean absolute Shapley value, log-odds", "reference", "text"), rows)
    return f"## Reasons\n\n{explanation}\n\n{picture}\n\n{table}"


def _column_of(code: str) -> str:
    return code[code.index("[") + 1 : -1] if code.endswith("]") and "[" in code else code


def _interval(figure: dict[str, float] | None) -> str:
    return "" if figure is None else f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def _picture(pictures: Sequence[str], name: str, alt: str) -> str:
    return f"![{alt}]({name})" if name in pictures else ""


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_lines(names, rows))


def _lines(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(one.replace('|', chr(92) + '|').replace(chr(10), ' ') for one in row)} |"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{_words(str(name))}: {_shown(one)}" for name, one in value.items())
    return ", ".join(_shown(one) for one in value) if isinstance(value, list | tuple) else str(value)
