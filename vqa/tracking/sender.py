"""The process that talks to W&B, `python -m vqa.tracking.sender`: nothing of W&B runs where training runs.

See `vqa.tracking.listener` for what it reads and answers, and `vqa.tracking.content` for what it shows.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from vqa.tracking.content import (
    NothingToShow,
    log_model,
    prediction_table,
    sample_table,
    summary_figures,
    use_store,
)
from vqa.tracking.listener import Message, Tell, listen, reason_of, result_on_disk

REACH_SECONDS, INIT_SECONDS = 5, 20
SENT_FILE = "sent.json"
SUCCEEDED = "succeeded"


class NoService(Exception):
    """W&B cannot be used: there is no key, or no server answers at its address."""


class Sender:
    """One life of a W&B run.

    Args:
        setup: `run_dir`, `run_id`, `mode`, `patience` (seconds for the last uploads) and W&B's own `project`,
            `entity`, `group`, `job_type`, `tags`, `name`, `config`.
        tell: takes the answers.
    """

    def __init__(self, setup: Message, tell: Tell) -> None:
        self._setup, self._tell = setup, tell
        self._run_dir = Path(setup["run_dir"])
        self._records, self._step = 0, last_step(self._run_dir)
        self._result: Mapping[str, Any] | None = None
        self._samples: Path | None = None
        self._shown = True
        self._mode, self._run = self._open()
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        url = self._run.url if self._mode == "online" else None
        tell({"opened": {"mode": self._mode, "url": url, "path": str(Path(self._run.dir).parent)}})
        if setup["config"]["tracking"]["artifacts"]:
            self._try("word of the data", self._use_store)

    def take(self, message: Message) -> None:
        """Hand one message to W&B."""
        if "record" in message:
            self._log(message["record"])
        elif "samples" in message:
            self._samples = Path(message["samples"])
        elif "result" in message:
            self._result = message["result"]

    def finish(self) -> None:
        """Write summary, tables and model, and end the run; one whose trainer died is marked as failed."""
        result = self._result or result_on_disk(self._run_dir)
        self._run.summary.update(dict(summary_figures(result)))
        self._try("predictions", lambda: self._log_tables(result))
        if self._setup["config"]["tracking"]["artifacts"]:
            self._try("model", lambda: self._log_model(result))
        self._run.finish(exit_code=0 if result.get("status") == SUCCEEDED else 1)
        if self._mode == "online" and self._shown:
            self._remember()
        self._tell({"done": {"records": self._records}})

    def _try(self, what: str, show: Callable[[], None]) -> None:
        """Do without a part that cannot be shown: the rest goes on."""
        try:
            show()
        except NothingToShow as error:
            self._tell({"said": f"W&B gets no {what} ({error})"})
        except Exception as error:
            self._shown = False
            self._tell(
                {
                    "said": f"W&B gets no {what} ({reason_of(error)}); "
                    f"`vqa sync {self._run_dir}` sends it later"
                }
            )

    def _use_store(self) -> None:
        store = Path(self._setup["config"]["data"]["store"])
        use_store(self._run, store, result_on_disk(self._run_dir).get("data_fingerprint"))

    def _log_tables(self, result: Mapping[str, Any]) -> None:
        """Both tables, at the journal's last step."""
        tables: Message = {}
        if self._samples is not None:
            tables["samples"] = sample_table(self._samples)
        count = self._setup["config"]["tracking"]["predictions"]
        table = prediction_table(self._run_dir, str(result.get("split")), count)
        if table is not None:
            tables["predictions"] = table
        if tables:
            self._run.log({**tables, "step": self._step})

    def _log_model(self, result: Mapping[str, Any]) -> None:
        if result.get("status") == SUCCEEDED:
            log_model(self._run, self._run_dir, self._setup["run_id"], result)

    def _log(self, record: Message) -> None:
        self._run.log({**record, "_timestamp": record["time"]})
        self._records += 1
        self._step = record["step"]

    def _open(self) -> tuple[str, Any]:
        """Begin the run, or go on with it; offline where W&B cannot be used online."""
        if self._setup["mode"] == "online":
            try:
                check_reachable(server_address())
                check_key()  # asks the server for the key's owner: slow where none answers
                return "online", self._init("online")
            except Exception as error:
                self._tell(
                    {
                        "said": f"W&B cannot be used online ({_reason(error)}); the run is kept offline, "
                        f"`vqa sync {self._run_dir}` sends it"
                    }
                )
        return "offline", self._init("offline")

    def _init(self, mode: Literal["online", "offline"]) -> Any:
        import wandb

        names = ("project", "entity", "group", "job_type", "tags", "name")
        words = {key: self._setup[key] for key in names}
        return wandb.init(
            id=self._setup["run_id"],
            resume="allow",
            config=self._setup["config"],
            mode=mode,
            settings=quiet_settings(
                self._run_dir,
                self._setup["patience"],
                x_stats_pid=self._setup.get("pid") or os.getpid(),
            ),
            **words,
        )

    def _remember(self) -> None:
        """Note that W&B has this very journal, if it has all of it."""
        try:
            lines = (self._run_dir / "metrics.jsonl").read_bytes().count(b"\n")
        except OSError:
            return
        if lines == self._records:
            text = json.dumps({"digest": journal_digest(self._run_dir), "url": self._run.url})
            (self._run_dir / "wandb" / SENT_FILE).write_text(text + "\n", encoding="utf-8")


def quiet_settings(root: Path, patience: float, **more: Any) -> Any:
    """W&B's settings: files below `root`, nothing of this machine but its load, no output, no waiting.

    Args:
        patience: seconds for the last uploads.
    """
    import wandb

    wanted = {
        "root_dir": str(root),
        "silent": True,
        "console": "off",
        "disable_git": True,
        "disable_code": True,
        "save_code": False,
        "init_timeout": INIT_SECONDS,
        "finish_timeout": patience,
        "finish_timeout_raises": True,
        "x_disable_meta": True,
        "x_save_requirements": False,
        **more,
    }
    known = getattr(wandb.Settings, "model_fields", wanted)  # they differ between versions
    return wandb.Settings(**{name: value for name, value in wanted.items() if name in known})


def last_step(run_dir: Path) -> int:
    """The step of the journal's last record; 0 where there is none."""
    try:
        lines = (run_dir / "metrics.jsonl").read_bytes().split(b"\n")
        return int(json.loads(lines[-2])["step"])
    except (OSError, IndexError, ValueError, KeyError, TypeError):
        return 0


def journal_digest(run_dir: Path) -> str:
    """SHA-256 of what W&B is to hold of a run: journal, result, sample predictions."""
    digest = hashlib.sha256()
    for name in ("metrics.jsonl", "result.json", "wandb/samples/table.json"):
        file = run_dir / name
        digest.update(file.read_bytes() if file.exists() else b"")
        digest.update(b"\0")
    return digest.hexdigest()


def check_key() -> None:
    """Look for a key without asking anybody for one; the versions of W&B that cannot find out later.

    Raises:
        NoService: there is none.
    """
    import wandb

    if "prompt" not in inspect.signature(wandb.login).parameters:
        return
    if not wandb.login(prompt=False, verify=False):
        raise NoService("there is no API key, `wandb login` stores one")


def check_reachable(url: str) -> None:
    """Find out in a few seconds whether a server answers; W&B itself tries for longer.

    Raises:
        NoService: none does.
    """
    try:
        urllib.request.urlopen(url, timeout=REACH_SECONDS).close()
    except urllib.error.HTTPError as answer:
        answer.close()  # it answers
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ConnectionError | TimeoutError | socket.gaierror):
            raise NoService(f"no answer from {url}: {reason}") from error
    except ValueError:
        raise NoService(f"not an address: {url}") from None


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, NoService) else reason_of(error)


def main() -> int:
    """Send a run to W&B."""
    os.environ["WANDB_ERROR_REPORTING"] = "false"
    return listen(_open_sender, _failure)


def _open_sender(setup: Message, tell: Tell) -> Sender:
    os.environ.setdefault("WANDB_DATA_DIR", str(Path(setup["run_dir"]) / "wandb"))
    return Sender(setup, tell)


def _failure(setup: Message, reason: str) -> str:
    return f"W&B failed ({reason}); `vqa sync {setup.get('run_dir')}` sends the run later"


def server_address() -> str:
    """Where W&B's server is."""
    import wandb

    return str(wandb.setup().settings.base_url)


if __name__ == "__main__":
    sys.exit(main())
