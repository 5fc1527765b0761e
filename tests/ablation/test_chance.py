"""What blind guessing among choices is worth, under every protocol."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.ablation.runs import QUICK, make_folder, make_run, study_of
from vqa.ablation.chance import chance_run
from vqa.ablation.gather import gather
from vqa.ablation.study import Options, make_study
from vqa.errors import InputError
from vqa.evaluation.predictions import Prediction
from vqa.evaluation.protocols import PROTOCOLS
from vqa.evaluation.runs import Run

SAID = {"two": ["red"] * 10, "three": ["red"] * 8 + ["blue"] * 2, "four": ["red"] * 10}
CHOICES = {
    "two": ["blue", "red"],
    "three": ["red", "blue", "green"],
    "four": ["blue", "green", "grey", "red"],
}


def question(name: str) -> Prediction:
    choices = CHOICES[name]
    return Prediction(
        name, name, answers=SAID[name], choices=choices, label=choices.index("red"), score=100.0
    )


def guessed(protocol: str, *names: str) -> list[float]:
    run = Run("mine", [question(name) for name in names], {"protocol": protocol})
    name, made = chance_run(run, {})
    assert name == "chance"
    return [round(float(score), 6) for score in made.scores]


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "anls/1"])
def test_where_one_choice_is_right_it_is_one_over_their_number(protocol: str) -> None:
    assert guessed(protocol, "two", "four") == [50, 25]


def test_a_choice_that_is_nearly_right_is_worth_something_by_letters() -> None:
    assert guessed("anls/1", "two", "four") == [50, (100 + 50) / 4]  # grey is half of red


def test_a_choice_counts_as_much_as_the_protocol_gives_for_it() -> None:
    """Two of ten people said blue: their accuracy is 60 over all ten times nine; nobody said green."""
    by = {protocol: guessed(protocol, "three")[0] for protocol in PROTOCOLS}
    assert by["vqa-accuracy/since-2021"] == by["vqa-accuracy/before-2021"]
    assert by["vqa-accuracy/since-2021"] == pytest.approx((100 + 60) / 3)
    assert by["exact/1"] == by["gqa/1"] == pytest.approx(200 / 3)
    assert by["multiple-choice/1"] == by["visual7w/1"] == pytest.approx(100 / 3)


def test_without_a_store_the_majority_is_not_known() -> None:
    run = Run("mine", [Prediction("q", "i", answers=["red"], score=0.0)], {"protocol": "exact/1"})
    with pytest.raises(InputError, match="the store whose training answers are to be counted is"):
        chance_run(run, {})


@pytest.mark.parametrize("protocol", ["exact/1", "gqa/1"])
def test_nobody_beats_a_chance_of_nothing(protocol: str, tmp_path: Path) -> None:
    """A network that guesses is not better than guessing, however its answers are scored."""
    folder = make_folder(tmp_path, lambda _: 0.25, seeds=2, baselines=["chance"])
    study = study_of(folder, Options(resamples=QUICK.resamples, protocol=protocol))
    assert {row.name: row.mean for row in study.rows}["chance"] == 25
    (claim,) = [
        text
        for pair, text in zip(study.pairs, study.claims, strict=True)
        if "chance" in (pair.a, pair.b)
    ]
    assert claim.startswith("no difference found")


def test_a_variant_that_is_called_chance_does_not_hide_guessing(tmp_path: Path) -> None:
    given = {name: [make_run(tmp_path / name, {"seed": 0}, 0.6)] for name in ("chance", "other")}
    found = gather([], given, None)
    study = make_study(found.title, found.members, found.places, replace(QUICK, chance=True))
    rows = {row.name: row for row in study.rows}
    assert (rows["chance (computed)"].baseline, rows["chance (computed)"].mean) == ("chance", 25)
    assert (rows["chance"].baseline, rows["chance"].mean > 50) == (None, True)
