"""What `inspect` counts, on stores small enough to count by hand."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vqa.cli import main
from vqa.data.inspect import Answers, even_places, inspect
from vqa.data.prepare import prepare
from vqa.data.record import BadRow


@pytest.fixture
def store(tmp_path, make, rows_of, png):
    """Four training and three test questions, and one without answers; splits share images."""
    green, blue = png((0, 255, 0)), png((0, 0, 255))
    rows = [
        make.row(question="is it red?", answers=["yes"] * 6 + ["no"] * 4, question_type="is"),
        make.row(question="is it?", answers=["no"], question_type="is", answer_type="yes/no"),
        make.row(green, image_id="g", answers=["red "], choices=["red", "teal", "x"], label=0),
        make.row(green, image_id="g", answers=["red"], choices=["red", "yes"], label=0),
        make.row(split="test", question="a b c d e f g h", answers=["blue"]),
        make.row(blue, image_id="b", split="test", answers=["no"], choices=["no", "zz"], label=0),
        make.row(green, image_id="g2", split="test", answers=["blue"]),
        make.row(image_id="w", split="withheld", answers=[]),
    ]
    return prepare(rows_of(rows), tmp_path / "store")


def test_counts_of_a_split(store):
    found = inspect(store)
    assert (found["questions"], found["images"], found["rejected"]) == (8, 5, 0)
    train = found["splits"]["train"]
    assert (train["questions"], train["images"]) == (4, 2)
    assert train["question_words"] == {"min": 2, "mean": 3.25, "p95": 4.0, "max": 4}
    assert train["question_types"] == {"": 2, "is": 2}
    assert train["answer_types"] == {"": 3, "yes/no": 1}
    assert train["answers_per_question"] == {"1": 3, "10": 1}
    assert train["answers"] == {
        "distinct": 3,
        "without": 0,
        "majority_percent": 50.0,
        "top": {"red": 2, "yes": 1, "no": 1},
    }


def test_choices_chance_and_the_right_place(store):
    found = inspect(store)["splits"]
    assert found["train"]["choices"] == {
        "questions": 2,
        "per_question": {"0": 2, "2": 1, "3": 1},
        "chance_percent": 41.67,
        "right_place": {"0": 2},
        "right_place_p": pytest.approx(0.3916252, abs=1e-6),  # χ² = 3, three degrees of freedom
    }
    assert found["test"]["question_types"] == {}
    assert found["withheld"]["answers"] == {
        "distinct": 0,
        "without": 1,
        "majority_percent": None,
        "top": {},
    }


def test_images_shared_by_id_and_by_content(store):
    assert inspect(store)["leakage"] == [
        {"splits": ["train", "test"], "by_id": 1, "by_content": 2, "questions": 2},
        {"splits": ["train", "withheld"], "by_id": 0, "by_content": 1, "questions": 1},
        {"splits": ["test", "withheld"], "by_id": 0, "by_content": 1, "questions": 1},
    ]


def test_splits_without_a_common_image_share_none(tmp_path, make, rows_of, png):
    rows = [make.row(), make.row(png((0, 0, 9)), image_id="other", split="test")]
    assert inspect(prepare(rows_of(rows), tmp_path / "store"))["leakage"] == []


def test_a_text_only_store_shares_by_id_alone(tmp_path, make, rows_of):
    rows = [make.row(), make.row(image_id="other", split="test"), make.row(split="test")]
    found = inspect(prepare(rows_of(rows), tmp_path / "store", text_only=True))
    assert found["leakage"] == [
        {"splits": ["train", "test"], "by_id": 1, "by_content": None, "questions": 1}
    ]
    assert found["estimate"]["image_bytes"] == 0


def test_coverage_by_the_answers_of_the_training_split(store):
    coverage = inspect(store)["coverage"]
    assert coverage == [
        {
            "answers": "all",
            "vocabulary": 3,
            "split": "train",
            "questions_percent": 100.0,
            "choices_percent": 60.0,
        },
        {
            "answers": "all",
            "vocabulary": 3,
            "split": "test",
            "questions_percent": 33.33,
            "choices_percent": 50.0,
        },
        {
            "answers": "all",
            "vocabulary": 3,
            "split": "withheld",
            "questions_percent": None,
            "choices_percent": None,
        },
    ]


def test_a_smaller_vocabulary_covers_less(tmp_path, make, rows_of):
    rows = [make.row(answers=[f"a{k % 1200}"]) for k in range(2200)]
    rows += [make.row(answers=[f"a{k}"], split="val") for k in (0, 999, 1000, 1199)]
    coverage = inspect(prepare(rows_of(rows), tmp_path / "store", text_only=True))["coverage"]
    told = {(item["answers"], item["split"]): item["questions_percent"] for item in coverage}
    assert told == {
        (1000, "train"): 90.91,
        (1000, "val"): 50.0,
        ("all", "train"): 100.0,
        ("all", "val"): 100.0,
    }


def test_without_a_training_split_nothing_is_covered(tmp_path, make, rows_of):
    assert inspect(prepare(rows_of([make.row(split="val")]), tmp_path / "s"))["coverage"] == []


def test_the_estimate(store):
    estimate = inspect(store, image_size=(10, 20))["estimate"]
    assert estimate["image_bytes"] == 5 * 3 * 10 * 20
    assert estimate["disk_bytes"] == sum(file.stat().st_size for file in store.path.iterdir())
    words = (3 + 1) + (2 + 1) + 5 * (4 + 1) + 8
    assert estimate["token_bytes"] == 4 * words + 9 * 8
    assert estimate["table_bytes"] == 8 * (32 + 10 * 12) + 7 * 16


@pytest.mark.parametrize(
    ("counts", "p"),
    [
        ({2: (50, 50)}, 1.0),
        ({2: (60, 40)}, 0.0455003),  # χ² = 4, one degree of freedom
        ({4: (40, 0, 0, 0)}, 0.0),
        ({2: (60, 40), 3: (10, 10, 10)}, 0.2614641),  # χ² = 4, three degrees of freedom
        ({1: (7,)}, None),
        ({}, None),
    ],
)
def test_the_evenness_of_places_is_pearsons(counts, p):
    """Expected: the tail of the χ² distribution, as its tables give it."""
    pairs = [(n, k) for n, times in counts.items() for k, t in enumerate(times) for _ in range(t)]
    offered, label = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    assert even_places(offered, label) == (None if p is None else pytest.approx(p, abs=1e-6))


def test_questions_repeated_word_for_word(tmp_path, make, rows_of):
    rows = [
        make.row(question="is it?"),
        make.row(question="why?", image_id="b"),
        make.row(question="is it?", split="val"),
        make.row(question="why?", split="val"),
        make.row(question="Why?", split="val"),
        make.row(question="where?", split="test"),
    ]
    store = prepare(rows_of(rows), tmp_path / "store", text_only=True)
    assert inspect(store)["repeated"] == [
        {"splits": ["train", "val"], "questions": 2, "percent": 66.67, "same_image": 1}
    ]


ANSWERS = st.lists(st.sampled_from(["yes", "no", "2", "a dog"]), max_size=10)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(groups=st.lists(ANSWERS, min_size=1, max_size=12))
def test_the_main_answer_is_the_first_of_the_most_frequent(tmp_path, make, rows_of, groups):
    rows = [make.row(answers=group, split=str(len(group) > 0)) for group in groups]
    store = prepare(rows_of(rows), tmp_path / "store", text_only=True, overwrite=True)
    stored = store.column("answers", range(len(groups)))
    answers = Answers(store)
    told = [answers.answers.values[code] if code >= 0 else None for code in answers.main]
    assert told == [Counter(group).most_common(1)[0][0] if group else None for group in stored]


def test_the_command_prints_json(store, capsys):
    assert main(["inspect", str(store.path), "--json", "--image-size", "32", "48"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(json.dumps(inspect(store, (32, 48))))


def test_the_command_prints_text(store, capsys):
    assert main(["inspect", str(store.path)]) == 0
    printed = capsys.readouterr().out
    for part in (
        "8 questions, 5 images",
        "train: 4 questions on 2 images",
        "2 to 4, mean 3.2, 95 % have at most 4",
        "3 distinct, the most frequent 50.00 %",
        "chance       41.67 %",
        "train and test: 1 by id, 2 by content; 2 questions of test",
        "no answer    1 questions",
        "60.00 % of choices",
    ):
        assert part in printed


def test_no_store_is_a_clear_error(tmp_path, capsys):
    assert main(["inspect", str(tmp_path)]) == 2
    assert "vqa prepare SOURCE" in capsys.readouterr().err


def test_reasons_of_rejection_are_counted(tmp_path, make, rows_of):
    bad = [BadRow("f, record 2", "no answer"), BadRow("f, record 3", "no image")]
    bad.append(BadRow("f, record 4", "no image"))
    store = prepare(rows_of([make.row(), *bad]), tmp_path / "store", max_bad=3)
    assert inspect(store)["rejected_reasons"] == [
        {"reason": "no image", "records": 2, "first": "f, record 3", "image": ""},
        {"reason": "no answer", "records": 1, "first": "f, record 2", "image": ""},
    ]


def test_missing_pictures_are_one_reason(tmp_path, make, rows_of):
    rows = [make.row(tmp_path / f"x{k}.png", image_id=f"x{k}") for k in range(40)]
    store = prepare(rows_of([make.row(), *rows]), tmp_path / "store", max_bad=40)
    wanted = {"reason": "no such image file", "records": 40, "first": "made, record 1"}
    wanted["image"] = str(tmp_path / "x0.png")
    assert inspect(store)["rejected_reasons"] == [wanted]
    older = [
        {"where": row.where, "reason": f"image {row.image}: {row.reason}"}
        for row in store.rejected()
    ]
    (store.path / "rejected.jsonl").write_text("\n".join(map(json.dumps, older)))
    assert inspect(store)["rejected_reasons"] == [wanted]


def test_reasons_that_differ_in_names_and_numbers_are_one(tmp_path, make, rows_of):
    reasons = [f"question id '{k}' isn't new, of {k} choices; index-from-1" for k in (1, 2, 1234.5)]
    bad = [BadRow(f"f, record {k}", reason) for k, reason in enumerate(reasons)]
    store = prepare(rows_of([make.row(), *bad]), tmp_path / "store", max_bad=3)
    (found,) = inspect(store)["rejected_reasons"]
    assert found["reason"] == "question id … isn't new, of … choices; index-from-1"
    assert found["records"] == 3
