"""`vqa evaluate`: figures, audits, baselines, the page, and leaderboard files."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vqa.cli import main
from vqa.config import parse_experiment
from vqa.data.prepare import prepare
from vqa.data.record import BadRow, Row
from vqa.data.sources.scenes import Scenes
from vqa.data.store import Store
from vqa.errors import ConfigError, DataError
from vqa.evaluation.predictions import read_predictions
from vqa.training.directory import RunDirectory
from vqa.training.requirements import StoreFacts, check_data
from vqa.training.run import train

HEADS: dict[str, dict[str, Any]] = {
    "classifier": {"name": "classifier"},
    "chooser": {"name": "chooser", "dim": 8},
}


class Withheld:
    """The scenes with numbers for ids, the answers of whose test split are withheld."""

    def rows(self) -> Iterator[Row | BadRow]:
        scenes = Scenes({"train": 8, "test": 6}, questions_per_image=3)
        for number, row in enumerate(scenes.rows()):
            assert isinstance(row, Row)
            example = dataclasses.replace(row.example, question_id=str(1000 + number))
            if example.split == "test":
                example = dataclasses.replace(example, answers=[], label=-1)
            yield dataclasses.replace(row, example=example)


@pytest.fixture(scope="module")
def withheld(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stores") / "withheld"
    prepare(Withheld(), path, name="scenes")
    return path


@pytest.fixture(scope="module", params=HEADS)
def trained(
    request: pytest.FixtureRequest, scenes_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run of one epoch, one for each head."""
    experiment = parse_experiment(
        {
            "data": {"store": str(scenes_store), "batch_size": 64, "image_size": 16},
            "model": {
                "image_encoder": {"name": "small", "channels": [4, 8], "strides": [2, 2]},
                "question_encoder": {"name": "lstm", "dim": 8, "embedding_dim": 8},
                "attention": {"name": "soft", "glimpses": 2, "hidden": 8},
                "head": HEADS[request.param],
            },
            "trainer": {"max_epochs": 1, "accelerator": "cpu"},
        }
    )
    path = tmp_path_factory.mktemp("runs") / request.param
    train(experiment, path)
    return path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may write into."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_audit_and_baselines_stand_in_the_result(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "result.json").read_bytes()
    assert main(["evaluate", str(run), "--audit", "--baselines", "--json"]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert json.loads((run / "evaluations" / "test.json").read_text()) == fields
    assert (run / "result.json").read_bytes() == before
    assert fields["overall"] == json.loads(before)["overall"]
    audit, found = fields["audit"], fields["baselines"]
    assert audit["unaltered"] == pytest.approx(fields["overall"], abs=1e-3)
    assert audit["alterations"].keys() == {"image_swapped", "words_shuffled", "question_swapped"}
    for one in audit["alterations"].values():
        loss = one["loss"]
        assert loss["low"] <= loss["difference"] <= loss["high"]
        assert loss["p_value"] <= loss["adjusted_p_value"] <= 1
        assert one["interval"]["low"] <= one["overall"] <= one["interval"]["high"]
    order = audit["choice_order"]
    assert order["given"] == fields["overall"]
    assert order["circular"] <= order["rotations"]
    assert 0 <= audit["calibration"]["ece"] <= 100
    assert found["baselines"].keys() == {"majority", "question_only", "choices_only"}
    assert found["training_questions"] == 160
    assert found["fit_on"] == "train"


def test_an_evaluation_that_fails_leaves_what_stands_there(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from vqa.evaluation.runs import load_run

    file = run / "predictions" / "test.jsonl"
    before, loaded = file.read_bytes(), load_run(run)
    (tmp_path / "file").write_text("")
    words = ["evaluate", str(run), "--protocol", "vqa-accuracy/since-2021"]
    assert main([*words, "--report", str(tmp_path / "file" / "report.html")]) == 2
    assert file.read_bytes() == before
    assert not (run / "evaluations").exists()
    assert load_run(run).scores.tolist() == loaded.scores.tolist()
    assert main(words) == 0
    assert file.read_bytes() != before
    assert load_run(run).identity["protocol"] == "vqa-accuracy/since-2021"
    capsys.readouterr()
    file.write_bytes(before)  # as if it had been killed before it wrote the predictions
    assert load_run(run).scores.max() == 0  # a single answer has no others


def test_the_table_says_it_all(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--audit", "--baselines"]) == 0
    shown = capsys.readouterr().out
    for text in ("image swapped", "choice order", "prior gap", "choices only", "chance 25.00"):
        assert text in shown
    assert "most confident" in shown
    assert "per question type" in shown
    assert "out of vocabulary: mask" in shown


def test_what_a_vocabulary_cannot_say_is_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On another store the answers may be ones that the model never learnt."""

    class Other:
        def rows(self) -> Iterator[Row | BadRow]:
            for number, row in enumerate(Scenes({"test": 4}, questions_per_image=2).rows()):
                assert isinstance(row, Row)
                answer = "RED" if number % 4 == 0 else "xyzzy"
                example = dataclasses.replace(row.example, answers=[answer], choices=[], label=-1)
                yield dataclasses.replace(row, example=example)

    prepare(Other(), tmp_path / "other", name="other")
    words = ["evaluate", str(run), "--store", str(tmp_path / "other"), "--split", "test"]
    if "chooser" in (run / "experiment.yaml").read_text():
        assert main(words) == 2
        return
    assert main([*words, "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["details"]["coverage"] == {"right_answers": 25.0}
    assert found["notes"] == ["the vocabulary can say a right answer to 25.0 % of the questions"]
    assert "not the store that the model was trained on" in printed.err
    assert main(words) == 0
    assert "note: the vocabulary can say a right answer to 25.0 %" in capsys.readouterr().out


def test_the_page_shows_pictures_and_attention(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "report.html"
    assert main(["evaluate", str(run), "--audit", "--baselines", "--report", str(page)]) == 0
    text = page.read_text()
    pictures = re.findall(r"src='data:image/jpeg;base64,([A-Za-z0-9+/=]+)'", text)
    predictions = read_predictions(run / "predictions" / "test.jsonl")
    right = sum(item.score >= 50 for item in predictions)
    assert len(pictures) == min(12, right) + min(12, len(predictions) - right)
    assert "image swapped" in text
    assert "choices only baseline" in text
    assert not re.search(r"(?:src|href)=['\"]?(?!data:)[a-z/]", text)
    assert len(text) < 2_000_000


def test_a_picture_with_attention_has_the_glimpses_beside_it(trained: Path) -> None:
    from vqa.evaluation.report_pictures import GAP, SIDE, composed
    from vqa.export import load

    model = load(trained)
    store = Store.open(model.experiment.data.store)
    item = read_predictions(trained / "predictions" / "test.jsonl")[0]
    data = store.image_bytes(int(store.image_rows[store.rows("test")[0]]))
    sheet = composed(model, data, item)
    assert sheet.size == (2 * SIDE + GAP, 2 * SIDE + GAP)
    refused = composed(model, data, dataclasses.replace(item, question=""))
    assert refused.size == (SIDE, SIDE)


def question_file(layout: str, run: Path, folder: Path) -> Path:
    """The official question file of the run's test split, in a layout."""
    items = read_predictions(run / "predictions" / "test.jsonl")
    ids = [item.question_id for item in items]
    files: dict[str, Any] = {
        "vqa": {"questions": [{"question_id": one, "question": "?"} for one in reversed(ids)]},
        "gqa": {one: {"imageId": "i", "question": "?"} for one in ids},
        "visual7w": {
            "images": [
                {"split": "test", "qa_pairs": [{"qa_id": one} for one in ids]},
                {"split": "train", "qa_pairs": [{"qa_id": "other"}]},
            ]
        },
    }
    file = folder / f"{layout}.json"
    file.write_text(json.dumps(files[layout]))
    return file


@pytest.mark.parametrize("layout", ["vqa", "gqa", "visual7w"])
def test_a_submission_in_every_layout(
    layout: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = question_file(layout, run, tmp_path)
    target = tmp_path / "submission.json"
    words = ["--submission", str(target), "--questions", str(questions), "--json"]
    assert main(["evaluate", str(run), *words]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert fields["submission"]["layout"] == layout
    assert fields["submission"]["n"] == 40
    said = {
        item.question_id: item.answer
        for item in read_predictions(run / "predictions" / "test.jsonl")
        if item.answer is not None
    }
    given = {
        "vqa": lambda one: (one["question_id"], one["answer"]),
        "gqa": lambda one: (one["questionId"], one["prediction"]),
        "visual7w": lambda one: (one["qa_id"], one["candidates"][0]["answer"]),
    }[layout]
    found = dict(given(one) for one in json.loads(target.read_text()))
    assert len(found) == 40
    assert {one: found[one] for one in said} == said
    assert fields["submission"]["guessed"] == 40 - len(said)


def test_a_submission_needs_the_questions_that_it_answers(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "submission.json"
    assert main(["evaluate", str(run), "--submission", str(target)]) == 2
    assert "--questions" in capsys.readouterr().err
    questions = question_file("vqa", run, tmp_path)
    assert main(["evaluate", str(run), "--questions", str(questions)]) == 2
    (run / "predictions" / "test.jsonl").unlink()
    fields = json.loads(questions.read_text())
    fields["questions"][0]["question_id"] = "foreign"
    questions.write_text(json.dumps(fields))
    words = ["--submission", str(target), "--questions", str(questions)]
    assert main(["evaluate", str(run), *words]) == 2
    error = capsys.readouterr().err
    assert "foreign" in error
    assert "test-" in error
    assert not target.exists()
    assert not (run / "predictions" / "test.jsonl").exists()  # refused before anything was asked


def test_withheld_answers_are_submitted_but_not_scored(
    run: Path, withheld: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.open(withheld)
    ids = [int(one) for one in store.column("question_id", store.rows("test"))]
    questions, target = tmp_path / "questions.json", tmp_path / "submission.json"
    questions.write_text(json.dumps({"questions": [{"question_id": one} for one in ids]}))
    words = ["evaluate", str(run), "--store", str(withheld), "--split", "test"]
    files = ["--submission", str(target), "--questions", str(questions)]
    assert main([*words, *files, "--json"]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert "overall" not in fields
    assert [one["question_id"] for one in json.loads(target.read_text())] == ids
    written = run / "evaluations" / f"test-{store.fingerprint[:12]}.json"
    assert json.loads(written.read_text()) == fields
    for option in (["--audit"], ["--baselines"], ["--report", str(tmp_path / "page.html")]):
        assert main([*words, *option]) == 2
        assert "no answers" in capsys.readouterr().err


@pytest.mark.parametrize("split", ["../../escaped", "sub/folder"])
def test_a_split_of_an_old_store_that_would_be_a_path_is_refused(
    run: Path,
    tmp_path: Path,
    split: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Old:
        def rows(self) -> Iterator[Row | BadRow]:
            for row in Scenes({"test": 2}, questions_per_image=1).rows():
                assert isinstance(row, Row)
                yield dataclasses.replace(
                    row, example=dataclasses.replace(row.example, split=split)
                )

    with monkeypatch.context() as earlier:
        earlier.setattr("vqa.data.check._names_a_file", lambda _: True)
        store = prepare(Old(), tmp_path / "old")
    before = sorted(tmp_path.rglob("*"))
    words = ["evaluate", str(run), "--store", str(store.path), "--split", split]
    assert main(words) == 2
    assert f"split {split!r} cannot be the name of a file" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    made = parse_experiment({"data": {"store": str(store.path), "train_split": split}})
    with pytest.raises(DataError, match="cannot be the name of a file"):
        check_data(made, StoreFacts(store))
    with pytest.raises(DataError, match="cannot be the name of a file"):
        RunDirectory(run).predictions_file(split)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_withheld_answers_choose_no_checkpoint(withheld: Path, head: dict[str, Any]) -> None:
    fields = {"store": str(withheld), "validation_split": "test"}
    made = parse_experiment({"data": fields, "model": {"head": head}})
    facts = StoreFacts(Store.open(withheld))
    with pytest.raises(ConfigError, match="no question of split test has an answer"):
        check_data(made, facts)
    made = parse_experiment(
        {"data": {**fields, "validation_split": "none"}, "model": {"head": head}}
    )
    assert check_data(made, facts)[0].validation is None


def test_bad_words_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    page = tmp_path / "file" / "report.html"
    for words, message in (
        (["--batch-size", "0"], "at least 1"),
        (["--protocol", "exact/9"], "no protocol"),
        (["--report", str(page)], f"vqa: {tmp_path / 'file'}: not a directory\n"),
    ):
        assert main(["evaluate", str(run), *words]) == 2
        assert message in capsys.readouterr().err
