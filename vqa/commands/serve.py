"""vqa serve [--host 127.0.0.1] [--port 8000] [--allow-host NAME …] [--stop-jobs] [--open]"""

from __future__ import annotations

import argparse

EPILOG = """
Listens on this machine alone. People elsewhere come through ssh or a proxy with TLS; --allow-host says under which
name. `vqa token add` lets them in.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = EPILOG
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    add("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name under which clients call it; may be given several times",
    )
    add(
        "--stop-jobs",
        action="store_true",
        help="when it ends, have the jobs on this machine save and stop: for a container, which they do not outlive",
    )
    add("--open", action="store_true", help="open the pages in this machine's browser, signed in")


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop; jobs that run go on, but for those on this machine with `--stop-jobs`."""
    import logging

    from vqa.jobs.home import Home
    from vqa.server.serve import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for name in ("httpx", "torch"):  # an engine's every question is no news, nor what torch kept
        logging.getLogger(name).setLevel(logging.WARNING)
    serve(
        Home.here(),
        args.host,
        args.port,
        args.allow_host,
        stop_jobs=args.stop_jobs,
        browse=args.open,
    )
    return 0
