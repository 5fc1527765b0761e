"""One process of a run that another one watches over: `python -m vqa.training.rank RUN_DIR`."""

from __future__ import annotations

import sys
import traceback

from vqa.errors import VQAError
from vqa.garbage import collect_rarely
from vqa.lifetime import Ending
from vqa.lightning import import_lightning
from vqa.training.process import settle


def main(run_dir: str) -> int:
    """Train as one rank; 0 where the run succeeded, `STOPPED` where a signal ended it in order.

    One that fails is gone at once: to leave the others in order, NCCL would wait for them, and they wait for it.
    """
    collect_rarely()
    settle()
    import_lightning()
    from vqa.training.directory import CANCELLED, PREEMPTED, SUCCEEDED, RunDirectory
    from vqa.training.distributed import leave_others
    from vqa.training.run import train_here
    from vqa.training.supervise import STOPPED

    codes = {SUCCEEDED: 0, PREEMPTED: STOPPED, CANCELLED: STOPPED}
    run = RunDirectory(run_dir, under_parent=True)
    try:
        status = train_here(run.experiment(), run)
        leave_others()
        return codes.get(status, 1)
    except VQAError as error:
        print(f"vqa: {error}", file=sys.stderr)
        return error.exit_code
    except Exception:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(Ending().at(main(sys.argv[1])))
