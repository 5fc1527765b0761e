"""Reading files that grow, and that a resumed run cuts back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vqa.errors import JobError
from vqa.jobs.logs import CHUNK_BYTES, log_files, read_log


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory with a log."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "rank0.log").write_text("one\ntwo\nthr")
    return tmp_path


def record(step: int, note: str = "") -> str:
    return json.dumps({"step": step, "epoch": 0, "time": 1.0, "note": note}) + "\n"


def resumed(run: Path, step: int) -> None:
    with (run / "events.jsonl").open("a") as file:
        file.write(json.dumps({"time": 1.0, "event": "resumed", "step": step}) + "\n")


def test_whole_lines_while_it_goes_on_and_the_rest_at_the_end(run: Path) -> None:
    chunk = read_log(run, "rank0.log", 0, ended=False)
    assert (chunk.text, chunk.offset, chunk.ended) == ("one\ntwo\n", 8, False)
    assert read_log(run, "rank0.log", 8, ended=False).text == ""
    chunk = read_log(run, "rank0.log", 8, ended=True)
    assert (chunk.text, chunk.offset, chunk.ended) == ("thr", 11, True)


def test_a_negative_offset_begins_with_a_line(run: Path) -> None:
    assert read_log(run, "rank0.log", -5, ended=True).text == "thr"
    assert read_log(run, "rank0.log", -7, ended=True).text == "two\nthr"
    assert read_log(run, "rank0.log", -1000, ended=True).text == "one\ntwo\nthr"


def test_large_files_come_in_bounded_pieces_and_nothing_is_lost(run: Path) -> None:
    text = "".join(f"{k} é ∀ 🙂\n" for k in range(60_000)) + "no end " * 60_000 + "\nlast\n"
    (run / "logs" / "rank1.log").write_text(text)
    parts, offset, ended = [], 0, False
    while not ended:
        chunk = read_log(run, "rank1.log", offset, ended=True)
        assert len(chunk.text.encode()) <= CHUNK_BYTES
        parts.append(chunk.text)
        offset, ended = chunk.offset, chunk.ended
    assert "".join(parts) == text


def test_bytes_that_are_no_text_do_no_harm(run: Path) -> None:
    (run / "logs" / "rank0.log").write_bytes(b"\xff\xfe\n\x00\x1b[31m<script>\n")
    chunk = read_log(run, "rank0.log", 0, ended=True)
    assert (chunk.text, chunk.offset) == ("��\n\x00\x1b[31m<script>\n", 18)


def test_a_journal_that_was_cut_back_goes_on_at_the_cut(run: Path) -> None:
    journal = run / "metrics.jsonl"
    journal.write_text("".join(record(step) for step in range(1, 10)))
    offset = read_log(run, "metrics", 0, ended=False).offset
    resumed(run, 4)
    journal.write_text("".join(record(step) for step in range(1, 5)) + record(5, "again"))
    chunk = read_log(run, "metrics", offset, ended=False)
    assert chunk.rewound
    assert [json.loads(line)["step"] for line in chunk.text.splitlines()] == [5]
    assert chunk.offset == journal.stat().st_size


def test_a_journal_that_was_cut_to_the_checkpoint_has_nothing_new_yet(run: Path) -> None:
    journal = run / "metrics.jsonl"
    journal.write_text(record(1) + record(2))
    resumed(run, 2)
    chunk = read_log(run, "metrics", 10_000, ended=False)
    assert (chunk.rewound, chunk.text, chunk.offset) == (True, "", journal.stat().st_size)
    journal.unlink()
    assert read_log(run, "metrics", 10, ended=False).rewound


def test_names_are_looked_up_and_never_joined(run: Path) -> None:
    (run / "secret").write_text("secret")
    (run / "logs" / "link.log").symlink_to(run / "secret")
    (run / "logs" / "folder").mkdir()
    assert list(log_files(run)) == ["rank0.log"]
    for name in (
        "../secret",
        "secret",
        "link.log",
        "folder",
        "",
        ".",
        "rank0.log/..",
        "x\x00",
        "/etc/passwd",
    ):
        with pytest.raises(JobError, match="no log") as caught:
            read_log(run, name, 0, ended=True)
        assert caught.value.kind == "not-found"


def test_a_process_that_never_was_has_no_log(run: Path) -> None:
    assert read_log(run, "rank7.log", 0, ended=True, processes=8, nodes=2).text == ""
    assert read_log(run, "runner1.log", 0, ended=True, processes=8, nodes=2).text == ""
    for name, asked in (("rank8.log", {"processes": 8, "nodes": 2}), ("runner1.log", {})):
        with pytest.raises(JobError, match="no log") as caught:
            read_log(run, name, 0, ended=True, **asked)
        assert caught.value.kind == "not-found"
    assert caught.value.fix == "there are rank0.log, runner0.log, metrics, events"
    with pytest.raises(JobError, match=r"rank0\.log to rank7\.log, runner0\.log to runner1\.log"):
        read_log(run, "rank8.log", 0, ended=True, processes=8, nodes=2)


def test_a_log_that_is_still_to_come_is_empty(tmp_path: Path) -> None:
    for name in ("rank0.log", "runner0.log", "metrics", "events"):
        assert read_log(tmp_path / "none", name, 0, ended=False).text == ""
    assert read_log(tmp_path / "none", "rank0.log", 0, ended=True).ended
