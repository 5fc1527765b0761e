"""What an experiment wants of its store, asked without reading it whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from typing_extensions import override

from tests.training.test_resume import Death, die_at
from vqa.config import Experiment
from vqa.data.prepare import prepare
from vqa.data.record import BadRow, Row
from vqa.data.sources.scenes import Scenes
from vqa.data.store import Store
from vqa.errors import ConfigError, DataError, RunError
from vqa.training.loop import RunLoop
from vqa.training.requirements import Questions, StoreFacts, check_data
from vqa.training.run import train

Make = Callable[..., Experiment]


class Without(StoreFacts):
    """A store whose questions lack answers or choices."""

    def __init__(self, store: Store, *fields: str) -> None:
        super().__init__(store)
        self._fields = fields

    @override
    def questions(self, split: str) -> Questions:
        found = super().questions(split)
        return replace(found, **{field: np.zeros(len(found), bool) for field in self._fields})


def test_splits_and_questions(experiment: Make, scenes_store: Path) -> None:
    store = Store.open(scenes_store)
    splits, questions = check_data(experiment(), StoreFacts(store))
    assert (splits.train, splits.validation, splits.evaluation) == ("train", "val", "test")
    assert questions.rows.tolist() == store.rows("train").tolist()
    assert questions.has_answers.all()
    assert questions.has_choices.all()


def test_a_share_is_of_whole_images_and_repeats(experiment: Make, scenes_store: Path) -> None:
    facts = StoreFacts(Store.open(scenes_store))
    made = experiment(data={"fraction": 0.25})
    _, questions = check_data(made, facts)
    assert (len(questions), len(np.unique(questions.image))) == (40, 10)
    assert check_data(made, facts)[1].rows.tolist() == questions.rows.tolist()
    other = check_data(experiment(data={"fraction": 0.25}, seed=1), facts)[1]
    assert other.rows.tolist() != questions.rows.tolist()


def test_heads_want_what_they_learn_from(experiment: Make, scenes_store: Path) -> None:
    store = Store.open(scenes_store)
    chooser, classifier = experiment(model={"head": {"name": "chooser"}}), experiment()
    assert check_data(chooser, Without(store, "has_answers"))
    assert check_data(classifier, Without(store, "has_choices"))
    with pytest.raises(ConfigError, match="a chooser needs questions with choices"):
        check_data(chooser, Without(store, "has_choices"))
    with pytest.raises(ConfigError, match="a classifier needs answers"):
        check_data(classifier, Without(store, "has_answers"))


class Half(StoreFacts):
    """A store whose every other question lacks something."""

    def __init__(self, store: Store, field: str) -> None:
        super().__init__(store)
        self._field = field

    @override
    def questions(self, split: str) -> Questions:
        found = super().questions(split)
        return replace(found, **{self._field: np.arange(len(found)) % 2 == 0})


@pytest.mark.parametrize(
    ("head", "field"),
    [("chooser", "has_choices"), ("chooser", "has_label"), ("classifier", "has_answers")],
)
def test_questions_that_teach_nothing_are_left_out(
    head: str, field: str, experiment: Make, scenes_store: Path
) -> None:
    store, made = Store.open(scenes_store), experiment(model={"head": {"name": head}})
    questions = check_data(made, Half(store, field))[1]
    assert questions.rows.tolist() == store.rows("train")[::2].tolist()


def test_a_validation_split_is_asked_and_scored(experiment: Make, scenes_store: Path) -> None:
    store, chooser = Store.open(scenes_store), experiment(model={"head": {"name": "chooser"}})

    class Choiceless(StoreFacts):
        @override
        def questions(self, split: str) -> Questions:
            found = super().questions(split)
            lacks = np.zeros(len(found), bool)
            return replace(found, has_choices=lacks) if split == "val" else found

    with pytest.raises(ConfigError, match="no question of split val has choices and an answer"):
        check_data(chooser, Choiceless(store))
    assert check_data(experiment(), Choiceless(store))[0].validation == "val"
    with pytest.raises(ConfigError, match="these questions do not say it"):
        check_data(chooser, Without(store, "has_label"))


@pytest.fixture
def lone_store(tmp_path: Path) -> Path:
    """A store whose every question is for training."""
    return prepare(Scenes({"train": 20}, questions_per_image=3), tmp_path / "lone").path


def test_a_run_says_that_it_is_scored_on_what_it_learns_from(
    experiment: Make, lone_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = experiment(data={"store": str(lone_store)}, trainer={"max_steps": 2})
    result = train(made, tmp_path / "run")
    said = "the score is of split 'train', the questions that the run learns from"
    assert capsys.readouterr().err.count(said) == 1
    assert result.fields["notes"][0].startswith(said)


def test_nothing_is_said_where_a_run_is_scored_on_new_questions(
    experiment: Make, scenes_store: Path
) -> None:
    store = Store.open(scenes_store)
    assert check_data(experiment(), StoreFacts(store))[0].caution == ""
    asked = experiment(evaluation={"split": "train"})
    assert "learns from" in check_data(asked, StoreFacts(store))[0].caution


def test_an_unknown_split_is_refused_before_it_is_read(
    experiment: Make, scenes_store: Path
) -> None:
    for made in (
        experiment(data={"train_split": "x"}),
        experiment(data={"validation_split": "x"}),
        experiment(evaluation={"split": "x"}),
    ):
        with pytest.raises(DataError, match="no split 'x'; it has train, val, test"):
            check_data(made, StoreFacts(Store.open(scenes_store)))


@dataclass(frozen=True)
class Mixed:
    """Scenes of which two thirds have choices."""

    name: ClassVar[str] = "mixed"

    def rows(self) -> Iterator[Row | BadRow]:
        scenes = Scenes({"train": 20, "val": 6, "test": 6}, questions_per_image=3)
        for at, row in enumerate(scenes.rows()):
            assert isinstance(row, Row)
            bare = replace(row.example, choices=[], label=-1)
            yield row if at % 3 else replace(row, example=bare)


def test_a_chooser_learns_from_the_questions_that_have_choices(
    experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = prepare(Mixed(), tmp_path / "store", name="mixed")
    made = experiment(
        data={"store": str(store.path), "batch_size": 1},
        model={"head": {"name": "chooser", "dim": 8}},
        trainer={"max_steps": 40},
    )
    result = train(made, tmp_path / "run")
    assert result.status == "succeeded"
    assert "20 of 60 questions have not choices" in capsys.readouterr().err
    assert result.fields["counts"]["training_questions"] == 40


@pytest.mark.parametrize("known", [True, False])
def test_a_run_that_began_on_other_questions_does_not_go_on(
    known: bool, experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an older program, which did not leave any out; it did not say their number either."""
    prepare(Mixed(), tmp_path / "store", name="mixed")
    made = experiment(
        data={"store": str(tmp_path / "store"), "batch_size": 4},
        model={"head": {"name": "chooser", "dim": 8}},
        trainer={"checkpoint_every_n_steps": 2},
    )
    original = RunLoop._state

    def older(self: RunLoop, *args: Any) -> dict[str, Any]:
        state = original(self, *args)
        return state | {"training_questions": 60} if known else _without(state)

    with monkeypatch.context() as patch:
        die_at(4, patch)
        patch.setattr(RunLoop, "_state", older)
        with pytest.raises(Death):
            train(made, tmp_path / "run")
    with pytest.raises(RunError, match="began on other training questions"):
        train(made, tmp_path / "run")


def _without(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name != "training_questions"}


def test_there_are_no_more_processes_than_questions(experiment: Make, tmp_path: Path) -> None:
    scenes = Scenes({"train": 1, "val": 1, "test": 1}, questions_per_image=3)
    facts = StoreFacts(prepare(scenes, tmp_path / "store", name="scenes"))
    data = {"store": str(tmp_path / "store"), "batch_size": 12}
    three, four = (experiment(data=data, trainer={"devices": count}) for count in (3, 4))
    assert len(check_data(three, facts)[1]) == 3
    with pytest.raises(ConfigError, match=r"fewer training questions \(3\) than processes \(4\)"):
        check_data(four, facts)
