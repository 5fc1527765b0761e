"""vqa token add NAME --scope read|submit|admin | list | revoke NAME"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from vqa.formatting import aligned, moment, plain

if TYPE_CHECKING:
    from vqa.jobs.home import Home

SCOPES = ("read", "submit", "admin")
EPILOG = """
`read` sees everything; `submit` also queues jobs, and cancels and resumes its own, and sends stores, and deletes its
own; `admin` does so with all. A change
counts at once, also for a server that runs.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's commands."""
    parser.epilog = EPILOG
    actions = parser.add_subparsers(dest="action", required=True, metavar="add|list|revoke")
    add = actions.add_parser("add", help="make a token and print it, once")
    add.add_argument("name", help="whose it is; jobs carry this name")
    add.add_argument("--scope", choices=SCOPES, default="submit", help="(default: submit)")
    listed = actions.add_parser("list", help="who has a token; never the token itself")
    listed.add_argument("--json", action="store_true", help="print the list as JSON")
    revoke = actions.add_parser("revoke", help="make a token worthless, at once")
    revoke.add_argument("name", help="whose")


def run(args: argparse.Namespace) -> int:
    """Change or list the tokens of this machine's `VQA_HOME`."""
    from vqa.errors import InputError
    from vqa.jobs.connect import server
    from vqa.jobs.home import Home

    if server() is not None:
        raise InputError(
            "is done on the server's own machine", where="vqa token", fix="unset VQA_SERVER there"
        )
    home = Home.here()
    if args.action == "list":
        return show(home, as_json=args.json)
    from vqa.server import tokens

    if args.action == "revoke":
        tokens.revoke(home, args.name)
        print(f"{args.name} is revoked")
        return 0
    print(tokens.add(home, args.name, args.scope))
    print("vqa: it is shown this once; keep it in a file of mode 600", file=sys.stderr)
    return 0


def show(home: Home, *, as_json: bool) -> int:
    """Everybody who has or had a token."""
    from vqa.server import tokens

    known = tokens.list(home)
    if as_json:
        entries = [token.model_dump(mode="json", exclude={"sha256"}) for token in known]
        print(json.dumps(entries, indent=2))
        return 0
    rows = [("name", "scope", "since", "revoked")]
    for token in known:
        revoked = "" if token.revoked is None else moment(token.revoked)
        rows.append((plain(token.name, 40), token.scope, moment(token.created), revoked))
    if known:
        print("\n".join(aligned(rows, left=4)))
    else:
        print("no tokens yet; `vqa token add NAME` makes one")
    return 0
