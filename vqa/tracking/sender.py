"""The process that talks to W&B, `python -m vqa.tracking.sender`: nothing of W&B runs where training runs.

It reads JSON lines from its input: first what the run is, then any of `{"record": …}` (a line of the journal),
`{"samples": folder}`, `{"result": …}`, and `{"end": true}`. The end of input means the same as the last, so a
trainer that is killed leaves a finished run behind. It answers with JSON lines: `{"said": text}` for people,
`{"opened": {mode, url, path}}`, and `{"done": {records}}` once everything is written or sent.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from vqa.lifetime import die_with

Message = dict[str, Any]
Tell = Callable[[Message], None]

REACH_SECONDS, INIT_SECONDS = 5, 20
SUMMARY_PREFIX = "result"
UNSUMMARISED = ("policies", "notes", "details", "error")
SENT_FILE = "sent.json"
SUCCEEDED = "succeeded"


class NoService(Exception):
    """W&B cannot be used: there is no key, or no server answers at its address."""


class Sender:
    """One life of a W&B run.

    Args:
        setup: `run_dir`, `run_id`, `mode`, `patience` (seconds for the last uploads) and W&B's own `project`,
            `entity`, `group`, `tags`, `name`, `config`.
        tell: takes the answers.
    """

    def __init__(self, setup: Message, tell: Tell) -> None:
        self._setup, self._tell = setup, tell
        self._run_dir = Path(setup["run_dir"])
        self._records, self._step = 0, last_step(self._run_dir)
        self._result: Mapping[str, Any] | None = None
        self._mode, self._run = self._open()
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        url = self._run.url if self._mode == "online" else None
        tell({"opened": {"mode": self._mode, "url": url, "path": str(Path(self._run.dir).parent)}})

    def take(self, message: Message) -> None:
        """Hand one message to W&B."""
        if "record" in message:
            self._log(message["record"])
        elif "samples" in message:
            self._run.log(
                {"predictions": sample_table(Path(message["samples"])), "step": self._step}
            )
        elif "result" in message:
            self._result = message["result"]

    def finish(self) -> None:
        """Write the summary and end the run; one whose trainer died is marked as failed."""
        result = self._result or self._result_on_disk()
        self._run.summary.update(dict(summary_figures(result)))
        self._run.finish(exit_code=0 if result.get("status") == SUCCEEDED else 1)
        if self._mode == "online":
            self._remember()
        self._tell({"done": {"records": self._records}})

    def _log(self, record: Message) -> None:
        self._run.log({**record, "_timestamp": record["time"]})
        self._records += 1
        self._step = record["step"]

    def _open(self) -> tuple[str, Any]:
        """Begin the run, or go on with it; offline where W&B cannot be used online."""
        if self._setup["mode"] == "online":
            try:
                check_reachable(_address())
                check_key()  # asks the server for the key's owner: slow where none answers
                return "online", self._init("online")
            except Exception as error:
                self._tell(
                    {
                        "said": f"W&B cannot be used online ({first_line(error)}); the run is kept offline, "
                        f"`vqa sync {self._run_dir}` sends it"
                    }
                )
        return "offline", self._init("offline")

    def _init(self, mode: Literal["online", "offline"]) -> Any:
        import wandb

        words = {key: self._setup[key] for key in ("project", "entity", "group", "tags", "name")}
        return wandb.init(
            id=self._setup["run_id"],
            resume="allow",
            job_type="train",
            config=self._setup["config"],
            mode=mode,
            settings=wandb.Settings(**self._settings()),
            **words,
        )

    def _settings(self) -> Message:
        """W&B's settings: files below the run, nothing of this machine but its load, no output, no waiting."""
        import wandb

        wanted = {
            "root_dir": str(self._run_dir),
            "silent": True,
            "console": "off",
            "disable_git": True,
            "disable_code": True,
            "save_code": False,
            "init_timeout": INIT_SECONDS,
            "finish_timeout": self._setup["patience"],
            "finish_timeout_raises": True,
            "x_disable_meta": True,
            "x_save_requirements": False,
            "x_stats_pid": self._setup.get("pid") or os.getpid(),
        }
        known = getattr(wandb.Settings, "model_fields", wanted)  # they differ between versions
        return {name: value for name, value in wanted.items() if name in known}

    def _result_on_disk(self) -> Mapping[str, Any]:
        try:
            result = json.loads((self._run_dir / "result.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return result if isinstance(result, dict) else {}

    def _remember(self) -> None:
        """Note that W&B has this very journal, if it has all of it."""
        try:
            lines = (self._run_dir / "metrics.jsonl").read_bytes().count(b"\n")
        except OSError:
            return
        if lines == self._records:
            text = json.dumps({"digest": journal_digest(self._run_dir), "url": self._run.url})
            (self._run_dir / "wandb" / SENT_FILE).write_text(text + "\n", encoding="utf-8")


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


def summary_figures(
    fields: Mapping[str, Any], prefix: str = SUMMARY_PREFIX
) -> Iterator[tuple[str, Any]]:
    """The figures of `result.json` under names with slashes, as in the journal: `result/interval/low`."""
    for name, value in fields.items():
        if name in UNSUMMARISED:
            continue
        if isinstance(value, Mapping):
            yield from summary_figures(value, f"{prefix}/{name}")
        elif isinstance(value, str | int | float):
            yield f"{prefix}/{name}", value


def sample_table(folder: Path) -> Any:
    """The W&B table of the sample predictions in `folder` (see `vqa.tracking.samples`)."""
    import wandb

    table = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    rows = [
        [
            wandb.Image(str(folder / cell["image"])) if isinstance(cell, dict) else cell
            for cell in row
        ]
        for row in table["rows"]
    ]
    return wandb.Table(columns=table["columns"], data=rows, allow_mixed_types=True)


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


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    lines = str(error).strip().splitlines()
    if isinstance(error, NoService):
        return lines[0]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def main() -> int:
    """Read, send, and answer; whatever goes wrong is told in one line."""
    tell = _take_output()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the trainer's end of input is the end
    os.environ["WANDB_ERROR_REPORTING"] = "false"
    setup: Message = {}
    try:
        lines = _messages()
        setup = next(lines)
        if "LOCAL_RANK" in os.environ:  # whoever watches over the ranks lets nothing live on
            die_with(int(setup["pid"]))()
        os.environ.setdefault("WANDB_DATA_DIR", str(Path(setup["run_dir"]) / "wandb"))
        sender = Sender(setup, tell)
        for message in lines:
            sender.take(message)
        sender.finish()
    except Exception as error:
        fix = f"`vqa sync {setup.get('run_dir')}` sends the run later"
        tell({"said": f"W&B failed ({first_line(error)}); {fix}"})
        return 1
    return 0


def _messages() -> Iterator[Message]:
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message.get("end"):
            return
        yield message


def _take_output() -> Tell:
    """Keep the answers' channel for this module; what else is printed goes where errors go."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(message: Message) -> None:
        try:
            channel.write(json.dumps(message) + "\n")
            channel.flush()
        except OSError:
            print(message, file=sys.stderr)  # nobody listens any more

    return tell


def _address() -> str:
    import wandb

    return str(wandb.setup().settings.base_url)


if __name__ == "__main__":
    sys.exit(main())
