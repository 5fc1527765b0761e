"""vqa export RUN --to DIR"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vqa.commands.find import run_path

EPILOG = """
Where VQA_SERVER names a server, a job's model is fetched from there and checked before it appears. `vqa ask DIR …`
and `vqa.load(DIR)` need nothing else.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("run", metavar="RUN", help="a finished run, or its job")
    parser.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="where the model goes; must not exist"
    )


def run(args: argparse.Namespace) -> int:
    """Check the run's model and write it to a folder of its own."""
    from vqa.errors import ModelError
    from vqa.export import load
    from vqa.jobs.connect import server

    if args.to.exists():
        raise ModelError("already exists", where=str(args.to), fix="choose another --to")
    path = run_path(args.run)
    if server() and not path.exists():
        fetch(args.run, args.to)
    else:
        load(path).save(args.to)
    print(f"vqa: the model stands at {args.to}", file=sys.stderr)
    return 0


def fetch(word: str, to: Path) -> None:
    """Bring the model of a server's job here; it appears whole and checked, or not at all.

    Raises:
        JobError: there is no such job, or it has no model.
        ModelError: what came is none, or was changed on the way.
        OSError: it cannot be written; names `to`.
    """
    import tempfile

    from vqa.commands.find import find_job
    from vqa.errors import ModelError
    from vqa.export import load
    from vqa.jobs.connect import connect
    from vqa.jobs.parcel import unpack
    from vqa.jobs.remote import RemoteService
    from vqa.outputs import make_folder, naming, sync_all

    service = connect()
    assert isinstance(service, RemoteService)
    job = find_job(service, word)
    make_folder(to.parent)
    with (
        naming(to),
        tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as folder,
    ):
        parcel, model = Path(folder, "parcel.tar"), Path(folder, "model")
        with parcel.open("wb") as out:
            service.model(job, out)
        unpack(parcel, model)
        try:
            load(model)
        except ModelError as error:  # of a folder that is about to go
            fix = "try again; where it stays so, its model is damaged there: train it again"
            raise ModelError(
                f"what came is no sound model ({error.what})", where=job, fix=fix
            ) from None
        sync_all(model)
        model.replace(to)
