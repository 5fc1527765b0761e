"""What a network says is the same for any batch size and number of processes, and validation agrees with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vqa.config import parse_experiment
from vqa.data.batches import gather_choices
from vqa.data.store import Store
from vqa.data.table import build_choices, build_table
from vqa.data.text import AnswerVocabulary, QuestionTokenizer
from vqa.evaluation.evaluate import guessed, open_exam, score
from vqa.evaluation.multiple_choice import OUT_OF_VOCABULARY, OutOfVocabulary, choice_score
from vqa.evaluation.predict import Exam, evaluating, predict, questions_of, ranking, right_choice
from vqa.evaluation.predictions import Prediction, write_predictions
from vqa.evaluation.protocols import score_predictions
from vqa.export import VQAModel
from vqa.model.config import Sizes

CPU = torch.device("cpu")
HEADS: dict[str, dict[str, Any]] = {
    "classifier": {"name": "classifier"},
    "chooser": {"name": "chooser", "dim": 16},
}


def model_for(store: Store, head: dict[str, Any], answers: int = 3000, **fields: Any) -> VQAModel:
    """An untrained model, the same every time."""
    experiment = parse_experiment(
        {
            "data": {"store": str(store.path), "image_size": 16, "max_answers": answers},
            "model": {
                "image_encoder": {"name": "small", "channels": [8, 16], "strides": [2, 2]},
                "question_encoder": {"name": "lstm", "dim": 32, "embedding_dim": 16},
                "attention": {"name": "soft", "hidden": 16},
                "head": head,
            },
            **fields,
        }
    )
    rows = store.rows("train")
    texts = chain(store.column("question", rows), chain(*store.column("choices", rows)))
    tokenizer = QuestionTokenizer.build(texts)
    vocabulary = AnswerVocabulary.build(store.column("answers", rows), answers)
    torch.manual_seed(1)
    sizes = Sizes(16, 16, len(tokenizer), len(vocabulary))
    network = experiment.model.build(sizes, pretrained=False).eval()
    return VQAModel(network, experiment, tokenizer, vocabulary, store.fingerprint)


def exam_of(model: VQAModel, store: Store, batch_size: int = 7) -> Exam:
    return open_exam(model, store, "test", batch_size=batch_size, device=CPU)


@pytest.mark.parametrize(
    ("head", "with_choices"), [("classifier", True), ("classifier", False), ("chooser", True)]
)
def test_processes_and_batch_sizes_change_nothing(
    head: str, with_choices: bool, scenes_store: Path, tmp_path: Path
) -> None:
    """Bit for bit over processes; over batch sizes every answer, and scores to a unit of the last decimal."""
    store = Store.open(scenes_store)
    model = model_for(store, HEADS[head])
    said: dict[int, list[Prediction]] = {}
    for batch_size in (1, 7, 1000):
        exam = exam_of(model, store, batch_size)
        if not with_choices:
            exam = replace(
                exam, table=replace(exam.table, choices=None), choices=[[] for _ in exam.choices]
            )
        said[batch_size] = predict(exam, store)
        order = {item.question_id: at for at, item in enumerate(said[batch_size])}
        write_predictions(tmp_path / "one", said[batch_size])
        for world in (2, 3):
            parts = [predict(exam, store, rank, world) for rank in range(world)]
            merged = sorted(chain(*parts), key=lambda item: order[item.question_id])
            write_predictions(tmp_path / "many", merged)
            assert (tmp_path / "many").read_bytes() == (tmp_path / "one").read_bytes()
    for batch_size in (7, 1000):
        for one, other in zip(said[1], said[batch_size], strict=True):
            assert one.answer == other.answer
            assert one.confidence == pytest.approx(other.confidence, abs=2e-5)
            assert [text for text, _ in one.top] == [text for text, _ in other.top]
            scores = [[-9 if s is None else s for s in item.choice_scores] for item in (one, other)]
            assert scores[0] == pytest.approx(scores[1], abs=1.01e-5)
    if with_choices:
        figures = [score_predictions(items, "multiple-choice/1").overall for items in said.values()]
        assert figures[0] == figures[1] == figures[2]


@pytest.mark.parametrize("policy", OUT_OF_VOCABULARY)
@pytest.mark.parametrize("answers", [1, 4, 3000])
@pytest.mark.parametrize("head", HEADS)
def test_validation_agrees_with_evaluation(
    head: str, answers: int, policy: OutOfVocabulary, scenes_store: Path
) -> None:
    """The figure that chooses the best checkpoint is the figure of the evaluation, whatever cannot be said."""
    store = Store.open(scenes_store)
    model = model_for(store, HEADS[head], answers, evaluation={"out_of_vocabulary": policy})
    exam = exam_of(model, store)
    sums = exam.predictor.accuracy_sums(exam.table, exam.bank, 7)
    result = score_predictions(
        predict(exam, store), "multiple-choice/1", out_of_vocabulary=policy, resamples=0
    )
    assert 100 * float(sums[0] / sums[1]) == pytest.approx(result.overall, abs=1e-6)
    unsayable = result.details["coverage"]["without_any"]
    assert (unsayable > 0) == (head == "classifier" and answers < 3000)
    split = sum(
        exam.predictor.accuracy_sums(exam.table, exam.bank, 7, rank, 3) for rank in range(3)
    )
    assert torch.allclose(split, sums)


TEXTS = st.sampled_from("abcd")
SCORES = st.sampled_from([0.0, 0.5, 0.50001, 1.0, None])
QUESTION = st.lists(st.tuples(TEXTS, SCORES), min_size=1, max_size=5)


@given(st.lists(st.tuples(QUESTION, st.integers(0, 4)), min_size=1, max_size=6))
def test_the_score_on_the_device_is_the_protocols(
    rows: list[tuple[list[tuple[str, float | None]], int]],
) -> None:
    """Ties, repeated texts, different numbers of choices, choices that cannot be said; both policies."""
    tokenizer = QuestionTokenizer.build(["a b c d"])
    groups = [[text for text, _ in question] for question, _ in rows]
    labels = [min(label, len(group) - 1) for (_, label), group in zip(rows, groups, strict=True)]
    table = build_choices(groups, tokenizer, AnswerVocabulary(("a",)))
    assert table is not None
    choices = gather_choices(table, np.arange(len(groups)), CPU)
    assert choices is not None
    flat = [-np.inf if s is None else s for question, _ in rows for _, s in question]
    for policy in OUT_OF_VOCABULARY:
        found = right_choice(
            torch.tensor(flat, dtype=torch.float64),
            choices,
            torch.tensor(labels),
            guess=policy == "mask",
        )
        for at, (question, _) in enumerate(rows):
            # One text, one score: that is so for any head.
            item = Prediction(
                str(at),
                "i",
                choices=groups[at],
                label=labels[at],
                choice_scores=[score for _, score in question],
            )
            assert 100 * float(found[at]) == pytest.approx(choice_score(item, policy))


def test_a_choice_that_cannot_be_said_is_never_chosen(scenes_store: Path) -> None:
    store = Store.open(scenes_store)
    model = model_for(store, HEADS["classifier"], answers=3)
    said = predict(exam_of(model, store), store)
    for item in said:
        can = {choice for choice in item.choices if choice in model.vocabulary.answers}
        assert (item.answer in can) if can else (item.answer is None and item.confidence is None)
        assert [score is not None for score in item.choice_scores] == [
            choice in can for choice in item.choices
        ]
    bare = [item for item in said if item.answer is None]
    assert bare
    mask, wrong = (
        score_predictions(bare, "multiple-choice/1", out_of_vocabulary=policy, resamples=0)
        for policy in OUT_OF_VOCABULARY
    )
    assert (mask.overall, wrong.overall) == (25, 0)
    filled, guesses = guessed(said)
    assert guesses == len(bare)
    assert all(item.answer in item.choices for item in filled)


def test_the_first_of_equal_answers_is_said() -> None:
    scores = torch.zeros(2, 5000)
    scores[1, 4000] = 0.1
    assert ranking(scores).argmax(1).tolist() == [0, 4000]
    scores[1, 4001] = 0.10001
    assert ranking(scores).argmax(1).tolist() == [0, 4001]
    assert ranking(scores).topk(3).indices[0].tolist() == [0, 1, 2]


def test_a_chooser_is_silent_where_there_is_nothing_to_choose(scenes_store: Path) -> None:
    """In a mixed set, whatever the batches: questions without choices get no answer and no crash."""
    store = Store.open(scenes_store)
    model = model_for(store, HEADS["chooser"])
    exam = exam_of(model, store, 1)
    choices = [group if at % 3 else [] for at, group in enumerate(exam.choices)]
    encoded = build_choices(choices, model.tokenizer, model.vocabulary)
    mixed = replace(exam, table=replace(exam.table, choices=encoded), choices=choices)
    said = mixed.say()
    assert sorted(said) == list(range(40))
    assert all((said[at].answer is None) == (at % 3 == 0) for at in said)
    halves = [mixed.say(rank, 2) for rank in range(2)]
    assert halves[0].keys() | halves[1].keys() == said.keys()
    assert not halves[0].keys() & halves[1].keys()


def test_questions_are_read_whole(scenes_store: Path) -> None:
    store = Store.open(scenes_store)
    rows = store.rows("test")[[3, 0]]
    for row, item in zip(rows, questions_of(store, rows), strict=True):
        example = store.example(int(row))
        assert all(getattr(item, name) == getattr(example, name) for name in example.__slots__)
    assert questions_of(store, rows[:0]) == []


def test_a_model_that_always_says_the_same_is_told() -> None:
    def notes(*said: str, right: tuple[str, str] = ("red", "blue")) -> list[str]:
        pairs = enumerate(zip(said, right, strict=True))
        rows = [Prediction(f"{n}", "i", "test", answer=a, answers=[b]) for n, (a, b) in pairs]
        return score(rows, "exact/1", "mask").notes

    (told,) = notes("red", "red")
    assert told.startswith("the model answers 'red' to every question")
    assert notes("red", "blue") == notes("red", "red", right=("red", "red")) == []


def test_a_table_of_some_questions_is_asked_alone(scenes_store: Path) -> None:
    store = Store.open(scenes_store)
    model = model_for(store, HEADS["chooser"])
    exam = exam_of(model, store)
    assert len(build_table(store, store.rows("test"), model.tokenizer, model.vocabulary)) == 40
    only = np.array([5, 2, 31])
    whole = exam.say()
    assert {at: one.answer for at, one in exam.say(only=only).items()} == {
        at: whole[at].answer for at in (2, 5, 31)
    }


@pytest.mark.parametrize(("whole", "part"), [(True, True), (False, True), (False, False)])
def test_a_network_is_asked_in_evaluation_mode_and_left_in_its_own(whole: bool, part: bool) -> None:
    network: Any = nn.Sequential(nn.Dropout(), nn.Linear(2, 2)).train(whole)
    network[0].train(part)
    found: list[bool] = []

    def ask() -> None:
        with evaluating(network):
            found.extend(one.training for one in network.modules())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask()
    assert found == [False] * 3
    assert network.training is whole
