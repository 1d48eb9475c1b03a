"""Builds the site with Sphinx. It needs no internet, neither to be built nor to be read."""

import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from docsite.staging import stage_pages

_SETTINGS: dict[str, Any] = {
    "project": "Tidemark",
    "html_title": "Tidemark",
    "extensions": ["myst_parser"],
    "html_theme": "furo",
    "html_copy_source": False,
    "html_show_sourcelink": False,
    "html_show_copyright": False,
    "highlight_language": "text",
    "myst_heading_anchors": 4,
    "nitpicky": True,
}


_SIGN = "objects.inv"  # lies in every site that was built here


class SiteError(Exception):
    """The site cannot be built, or not without a warning; its text says why."""


def build_site(root: Path, out: Path) -> None:
    """Build the site of the repository `root` into `out`, which is recreated. A warning is an error.

    A folder that holds anything but a site is left as it is: `SiteError`.
    """
    if out.exists() and any(out.iterdir()) and not (out / _SIGN).exists():
        raise SiteError(f"{out} holds other files than a site, which would be lost: name a new or empty folder")
    warnings = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        source, trees, fresh = (Path(folder) / name for name in ("source", "trees", "site"))
        stage_pages(root, source)
        sphinx = Sphinx(
            srcdir=source,
            confdir=None,
            outdir=fresh,
            doctreedir=trees,
            buildername="html",
            confoverrides=_SETTINGS,
            status=None,
            warning=warnings,
        )
        sphinx.build(force_all=True)
        if warnings.getvalue():
            raise SiteError(warnings.getvalue().replace(f"{source}/", ""))
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(fresh, out)
