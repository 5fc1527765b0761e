"""`vqa jobs`, `show`, `logs`, `cancel`, `resume` on a queue of one's own."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from vqa.commands import logs
from vqa.jobs.home import Home
from vqa.jobs.record import TERMINAL, Loss, State

STRANGE = "\x1b[2J\x1b]0;owned\x07\u202e"


def test_an_empty_queue_says_what_to_do(command, still: Home) -> None:
    said = command("jobs")
    assert said.code == 0
    assert "vqa submit CONFIG" in said.out
    assert command("jobs", "--json").json == {"jobs": [], "next": None, "counts": {}}
    assert "no job is like that" in command("jobs", "--group", "x").out


def test_the_table_has_what_people_ask_for(command, jobs) -> None:
    job = jobs.running(group="fusions", name="multiply-soft")
    jobs.queued(name="later")
    jobs.ended(State.SUCCEEDED, name="done")
    said = command("jobs")
    assert said.code == 0
    head, *rows = said.out.split("\n")
    wanted = "job name group state user engine progress questions/s best left age"
    assert head.split() == wanted.split()
    row = next(row for row in rows if row.startswith(job.id))
    for cell in ("multiply-soft", "fusions", "running", "ada", "local", "40 % 40/100", "1,234"):
        assert cell in row
    assert "61.50" in row
    assert "81.25" in next(row for row in rows if " done " in row)
    assert "3 jobs: 1 queued, 1 running, 1 succeeded" in said.out


def test_filters_and_pages(command, jobs) -> None:
    ids = [jobs.queued(user="ann" if i % 2 else "bob", group=f"g{i % 2}").id for i in range(6)]
    page = command("jobs", "--limit", 4, "--json")
    assert [job["id"] for job in page.json["jobs"]] == ids[:1:-1]
    rest = command("jobs", "--before", page.json["next"], "--json").json
    assert [job["id"] for job in rest["jobs"]] == ids[1::-1]
    assert rest["next"] is None
    assert f"--before {page.json['next']}" in command("jobs", "--limit", 4).err
    for option, value in (("--user", "ann"), ("--group", "g1")):
        found = command("jobs", option, value, "--json").json["jobs"]
        assert [job["id"] for job in found] == ids[5::-2]
    assert command("jobs", "--state", "running", "--json").json["jobs"] == []
    found = command("jobs", "--state", "running", "--state", "queued", "--json").json["jobs"]
    assert len(found) == 6


@pytest.mark.parametrize(
    "words",
    [
        ["jobs", "--limit", "0"],
        ["jobs", "--dry-run"],
        ["jobs", "--older-than", "3"],
        ["jobs", "--prune", "runs"],
        ["jobs", "--prune", "--older-than", "-1"],
        ["show", "0123abcd"],
        ["show", "nothing"],
        ["show", "../../etc"],
        ["logs", "0123abcd"],
        ["logs", "0123abcd", "--follow"],
        ["cancel", "0123abcd"],
        ["resume", "0123abcd"],
    ],
)
def test_bad_input_is_one_line_and_exit_2(command, still: Home, words: list[str]) -> None:
    said = command(*words)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("vqa: ")
    assert len(said.err.strip().split("\n")) == 1


def test_a_prefix_is_enough_where_it_is_unambiguous(command, jobs) -> None:
    made = [jobs.queued().id for _ in range(40)]
    beginnings = [job[:1] for job in made]
    twice = next(digit for digit in beginnings if beginnings.count(digit) > 1)
    said = command("show", twice)
    assert said.code == 2
    assert "begins several jobs" in said.err
    assert command("show", made[0], "--json").json["job"]["id"] == made[0]
    shortest = next(
        made[0][:n] for n in range(1, 9) if sum(j.startswith(made[0][:n]) for j in made) == 1
    )
    assert command("show", shortest, "--json").json["job"]["id"] == made[0]


def test_show_tells_what_happened_and_what_came_of_it(command, jobs) -> None:
    job = jobs.ended(State.SUCCEEDED, group="fusions")
    said = command("show", job.id)
    assert said.code == 0
    for text in ("queued", "starting", "running", "succeeded", "81.25", "exact/1", "vqa ask"):
        assert text in said.out
    assert str(jobs.home.run_dir(job.id)) in said.out
    detail = command("show", job.id, "--json").json
    assert detail["result"]["overall"] == 81.25
    assert [change["state"] for change in detail["history"]] == [
        "queued",
        "starting",
        "running",
        "succeeded",
    ]


def test_show_gives_the_reason_and_the_last_words_of_a_failed_job(command, jobs) -> None:
    reason = f"rank 0: {'/a/folder' * 30}: the store is gone — prepare it again"
    job = jobs.ended(State.FAILED, reason)
    jobs.log(job, "".join(f"line {i}\n" for i in range(500)) + "DataError: gone\n")
    said = command("show", job.id)
    assert f"failed: {reason}" in said.out
    assert "DataError: gone" in said.out
    assert "line 499" in said.out
    assert "line 400" not in said.out
    assert f"vqa resume {job.id}" in said.out


def test_a_job_that_waits_again_shows_how_far_it_came_and_no_time_left(command, jobs) -> None:
    job = jobs.running()
    assert " left" in command("show", job.id).out
    assert "so far" in command("show", job.id).out
    assert jobs.queue.move(job, State.QUEUED, "lost: rank 0 was killed", loss=Loss(1, -1))
    shown = command("show", job.id).out
    assert "40 % 40/100, epoch 2, " in shown  # the journal counts from 0
    assert "lost: rank 0 was killed" in shown
    for text in (" left", "so far", "took", "sign of life"):
        assert text not in shown


def test_a_job_that_has_made_no_step_shows_how_many_there_are(command, jobs) -> None:
    job = jobs.running()
    (jobs.home.run_dir(job.id) / "metrics.jsonl").unlink()
    assert "0 % 0/100" in command("jobs").out


def test_what_others_wrote_does_not_steer_the_terminal(command, jobs) -> None:
    job = jobs.ended(State.FAILED, f"reason{STRANGE}", name="name")
    jobs.log(job, f"words{STRANGE}\n")
    for words in (["jobs"], ["show", job.id], ["logs", job.id]):
        said = command(*words)
        assert said.code == 0
        assert not set(STRANGE) - set("[2J]0;owned") & set(said.out)
    assert "words␛[2J" in command("logs", job.id).out


def test_logs_prints_a_process_s_log_or_the_journal(command, jobs) -> None:
    job = jobs.ended(State.SUCCEEDED)
    jobs.log(job, "second\n", "rank1.log")
    assert command("logs", job.id).out == "epoch 1\n"
    assert command("logs", job.id, "--rank", 1).out == "second\n"
    assert command("logs", job.id[:7], "--metrics").out.count('"step": 40') == 2
    assert command("logs", job.id, "--rank", -1).code == 2
    for words in (["--rank", 9], ["--runner", 1], ["--rank", 9, "--follow"]):
        said = command("logs", job.id, *words)
        assert (said.code, said.out) == (2, "")
        assert "there are rank0.log, runner0.log, metrics, events" in said.err


def test_logs_of_a_job_that_has_not_begun_are_empty_and_say_so(command, jobs) -> None:
    waiting, gone = jobs.queued().id, jobs.queued().id
    command("cancel", gone)
    for job, words in ((waiting, "nothing in rank0.log yet"), (gone, "nothing in rank0.log;")):
        said = command("logs", job)
        assert (said.code, said.out) == (0, "")
        assert words in said.err
        assert f"vqa show {job}" in said.err


def test_follow_goes_over_restarts_and_rewinds_to_the_end(
    command, jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LOOK_SECONDS", 0.02)
    job = jobs.running()
    failure: list[BaseException] = []

    def go_on() -> None:
        try:
            time.sleep(0.3)
            jobs.log(job, "epoch 2\n")
            time.sleep(0.3)
            jobs.queue.move(job, State.QUEUED, "lost: rank 0", loss=Loss(1, -1))
            claimed = jobs.queue.claim(jobs.queue.get(job.id))
            assert claimed
            time.sleep(0.3)
            jobs.log(claimed, "resumed\nepoch 3\n")
            jobs.queue.move(claimed, State.RUNNING)
            jobs.queue.move(claimed, State.SUCCEEDED)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=go_on)
    thread.start()
    said = command("logs", job.id, "--follow")
    thread.join()
    assert not failure
    assert said.out == "epoch 1\nepoch 2\nresumed\nepoch 3\n"
    assert said.code == 0


def test_follow_survives_a_journal_that_is_cut_back(
    command, jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LOOK_SECONDS", 0.02)
    job = jobs.running()
    journal = jobs.home.run_dir(job.id) / "metrics.jsonl"

    def go_on() -> None:
        time.sleep(0.3)
        first = journal.read_text().split("\n")[0] + "\n"
        journal.write_text(first)
        time.sleep(0.3)
        with journal.open("a") as file:
            file.write('{"step": 50, "epoch": 1, "time": 1.0}\n')
        jobs.queue.move(job, State.SUCCEEDED)

    thread = threading.Thread(target=go_on)
    thread.start()
    said = command("logs", job.id, "--follow", "--metrics")
    thread.join()
    assert '"step": 50' in said.out.split("\n")[-2]
    assert "went back" in said.err


def test_an_interrupted_follow_leaves_the_job_alone(
    command, jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(logs.time, "sleep", interrupt)
    job = jobs.running()
    said = command("logs", job.id, "--follow")
    assert (said.code, said.out) == (0, "epoch 1\n")
    assert "goes on" in said.err
    assert jobs.queue.get(job.id).state is State.RUNNING


def test_cancel_and_resume(command, jobs) -> None:
    waiting, running, done = jobs.queued(), jobs.running(), jobs.ended(State.SUCCEEDED)
    said = command("cancel", waiting.id, running.id, done.id)
    assert said.code == 0
    assert [line.split("  ")[-1] for line in said.out.strip().split("\n")] == [
        "cancelled",
        "is being stopped",
        "had ended before (succeeded); nothing was done",
    ]
    assert "stopping" in command("jobs").out
    said = command("resume", waiting.id, running.id, done.id)
    assert said.code == 2
    assert said.out.startswith(waiting.id)
    assert len(said.err.strip().split("\n")) == 2
    assert jobs.queue.get(waiting.id).state is State.QUEUED
    (job,) = command("cancel", waiting.id, "--json").json
    assert (job["id"], job["state"]) == (waiting.id, "cancelled")


def test_a_group_is_cancelled_as_a_whole(command, jobs) -> None:
    waiting, running = jobs.queued(group="fusions"), jobs.running(group="fusions")
    done, other = jobs.ended(State.SUCCEEDED, group="fusions"), jobs.queued(group="heads")
    said = command("cancel", "--group", "fusions", done.id)
    assert said.code == 0
    told = {line.split()[0]: line.split("  ")[-1] for line in said.out.strip().split("\n")}
    assert told == {
        waiting.id: "cancelled",
        running.id: "is being stopped",
        done.id: "had ended before (succeeded); nothing was done",
    }
    assert jobs.queue.get(other.id).state is State.QUEUED
    said = command("cancel", "--group", "fusions", "--group", "heads", "--json")
    assert said.code == 0
    assert [job["id"] for job in said.json] == [other.id]
    assert "group fusions: all of it has ended, or is being stopped" in said.err


def test_what_failed_of_a_group_is_resumed(command, jobs) -> None:
    made = [jobs.ended(state, group="fusions") for state in State if state in TERMINAL]
    going = jobs.running(group="fusions")
    resumed = command("resume", "--group", "fusions", "--json").json
    again = {job.id for job in made if job.state in (State.FAILED, State.LOST)}
    assert len(again) == 2
    assert {job["id"] for job in resumed} == again
    said = command("resume", "--group", "fusions")
    assert (said.code, said.out) == (0, "")
    assert "no job of it has failed" in said.err
    assert jobs.queue.get(going.id).state is State.RUNNING


@pytest.mark.parametrize("verb", ["cancel", "resume"])
@pytest.mark.parametrize("name", ["fusion", "", "a b", "../x", "x" * 121, "fusions\x1b"])
def test_a_group_that_is_not_there_is_refused(verb: str, name: str, command, jobs) -> None:
    job = jobs.queued(group="fusions")
    said = command(verb, job.id, "--group", "fusions", "--group", name)
    assert said.code == 2
    assert "no group" in said.err
    assert "\x1b" not in said.err
    assert jobs.queue.get(job.id).state is State.QUEUED
    assert "name jobs, or a group" in command(verb).err


def test_a_name_that_is_wrong_leaves_the_others_alone(command, jobs) -> None:
    job = jobs.queued()
    assert command("cancel", job.id, "nothing").code == 2
    assert jobs.queue.get(job.id).state is State.QUEUED


def test_prune_says_what_it_frees(command, jobs) -> None:
    job = jobs.ended(State.SUCCEEDED)
    checkpoints = jobs.home.run_dir(job.id) / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / "last.ckpt").write_bytes(b"x" * 200_000)
    assert "would free" in command("jobs", "--prune", "--dry-run").out
    assert checkpoints.exists()
    said = command("jobs", "--prune")
    assert said.code == 0
    assert "checkpoints of 1 jobs" in said.out
    assert not checkpoints.exists()
    (item,) = command("jobs", "--prune", "runs", "--older-than", 0, "--json").json
    assert item["job"] == job.id
    assert not jobs.home.run_dir(job.id).exists()
    assert command("jobs", "--json").json["jobs"] == []


def test_prune_is_for_the_server_s_own_machine(command, still, monkeypatch) -> None:
    monkeypatch.setenv("VQA_SERVER", "https://elsewhere")
    said = command("jobs", "--prune")
    assert said.code == 2
    assert "server's own machine" in said.err


@pytest.mark.parametrize("name", ["jobs", "show", "cancel"])
def test_a_home_that_cannot_be_used_is_one_line(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VQA_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.delenv("VQA_SERVER", raising=False)
    said = command(name, *([] if name == "jobs" else ["0123abcd"]))
    assert said.code == 2
    assert len(said.err.strip().split("\n")) == 1
    assert "not a directory" in said.err


def test_a_queue_that_is_none_is_one_line(command, still: Home) -> None:
    still.queue_file.write_bytes(b"no database at all, but long enough to be looked at" * 50)
    said = command("jobs")
    assert said.code == 2
    assert "is no queue" in said.err
