"""`python3 run.py docs [--serve]`: builds the site into site/; any warning, such as a broken link, fails."""

import argparse
import functools
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from docsite.building import SiteError, build_site

ROOT = Path(__file__).parents[1]


def main(arguments: list[str]) -> int:
    """Build the site, and with --serve show it until Ctrl-C; return the exit code."""
    parser = argparse.ArgumentParser(prog="run.py docs", description="Build the documentation into site/.")
    parser.add_argument("--serve", action="store_true", help="show it on a free port of this machine")
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="folder to recreate; default: site")
    options = parser.parse_args(arguments)
    out = options.out
    try:
        build_site(ROOT, out)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 3
    print(f"Built {out / 'index.html'}")
    return serve(out) if options.serve else 0


def serve(folder: Path) -> int:
    """Serve a folder on 127.0.0.1 until Ctrl-C."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
