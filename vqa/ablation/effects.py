"""What an axis does over the others, and where two axes depend on each other.

A main effect is the mean difference between two values of an axis over all settings of the other axes in which
both were run; an interaction is the difference of two such differences. Both are tested like two variants: question
by question, images as clusters, seeds in pairs (`vqa.evaluation.significance.seeded_test`), Holm's p over all main
effects, and over all interactions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from vqa.ablation.alike import shortly
from vqa.evaluation.bootstrap import Floats, Ints
from vqa.evaluation.comparison import Variant
from vqa.evaluation.power import WHOLE_SCALE
from vqa.evaluation.significance import PairedTest, holm, in_family, seeded_test

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Effect:
    """A main effect (one axis) or an interaction (two).

    Attributes:
        axes: their names.
        values: of each axis the value that is looked at.
        against: of each axis the value that it is measured against.
        settings: combinations of the other axes that it is the mean over.
        seeds: that all runs behind it have in common; 0 where there is none and means over seeds were used.
        test: the difference on the scores' scale.
        adjusted_p: Holm's.
    """

    axes: tuple[str, ...]
    values: Labels
    against: Labels
    settings: int
    seeds: int
    test: PairedTest
    adjusted_p: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return {
            "axes": list(self.axes),
            "values": list(self.values),
            "against": list(self.against),
            "settings": self.settings,
            "seeds": self.seeds,
            **asdict(self.test),
            "adjusted_p_value": self.adjusted_p,
        }


@dataclass(frozen=True)
class Factorial:
    """Variants by their labels.

    Attributes:
        axes: names; `variants` has a label of each, in this order.
        reference: the label of each axis that effects are measured against.
        images: image codes [questions].
    """

    axes: tuple[str, ...]
    reference: Labels
    variants: Mapping[Labels, Variant]
    images: Ints
    resamples: int

    def labels(self, axis: int) -> list[str]:
        """All labels of an axis but the reference's."""
        found = dict.fromkeys(labels[axis] for labels in self.variants)
        return [label for label in found if label != self.reference[axis]]

    def main_effects(self) -> list[Effect]:
        """Of every value of every axis."""
        return _corrected([*self._main()])

    def interactions(self) -> list[Effect]:
        """Of every two values of every two axes."""
        return _corrected([*self._pairs()])

    def lacking(self) -> list[str]:
        """A note where cells lack seeds that others have."""
        own = {one.name: {run.seed for run in one.runs} for one in self.variants.values()}
        every = set[int | None]().union(*own.values())
        lack = {name: sorted(map(str, every - seeds)) for name, seeds in own.items()}
        shown = [f"{name} ({', '.join(seeds)})" for name, seeds in lack.items() if seeds]
        told = "an effect counts the seeds that all its cells have; lacking are those of"
        return [f"{told} {shortly(shown)}"] if shown and None not in every else []

    def _main(self) -> Iterator[Effect]:
        for axis in range(len(self.axes)):
            for label in self.labels(axis):
                plus, minus = {axis: label}, {axis: self.reference[axis]}
                yield from self._effect((axis,), (label,), [plus], [minus])

    def _pairs(self) -> Iterator[Effect]:
        for first, second in itertools.combinations(range(len(self.axes)), 2):
            for a, b in itertools.product(self.labels(first), self.labels(second)):
                a0, b0 = self.reference[first], self.reference[second]
                plus = [{first: a, second: b}, {first: a0, second: b0}]
                minus = [{first: a0, second: b}, {first: a, second: b0}]
                yield from self._effect((first, second), (a, b), plus, minus)

    def _effect(
        self,
        axes: tuple[int, ...],
        values: Labels,
        plus: Sequence[Mapping[int, str]],
        minus: Sequence[Mapping[int, str]],
    ) -> Iterator[Effect]:
        """The sum over `plus` less that over `minus`, where every corner was run in some setting of the others."""
        corners = [*plus, *minus]
        settings = self._settings(axes, corners)
        if not settings:
            return
        cells = [[self.variants[_with(rest, corner)] for rest in settings] for corner in corners]
        seeds = _common_seeds([variant for row in cells for variant in row])
        sums = [sum(_scores(variant, seeds) for variant in row) / len(row) for row in cells]
        left, right = sum(sums[: len(plus)]), sum(sums[len(plus) :])
        test = seeded_test(
            np.asarray(left),
            np.asarray(right),
            self.images,
            paired=True,
            resamples=self.resamples,
            scale=WHOLE_SCALE * len(plus),
        )
        names, against = (
            tuple(self.axes[at] for at in axes),
            tuple(self.reference[at] for at in axes),
        )
        yield Effect(names, values, against, len(settings), len(seeds), test)

    def _settings(
        self, axes: tuple[int, ...], corners: Sequence[Mapping[int, str]]
    ) -> list[Labels]:
        """Labels, those of `axes` the reference's, for which every corner was run."""
        bases = dict.fromkeys(
            _with(labels, {at: self.reference[at] for at in axes}) for labels in self.variants
        )
        return [
            one for one in bases if all(_with(one, corner) in self.variants for corner in corners)
        ]


def _with(labels: Labels, changes: Mapping[int, str]) -> Labels:
    return tuple(changes.get(at, label) for at, label in enumerate(labels))


def _common_seeds(variants: Sequence[Variant]) -> list[int]:
    sets = [{run.seed for run in variant.runs if run.seed is not None} for variant in variants]
    return sorted(set.intersection(*sets))


def _scores(variant: Variant, seeds: Sequence[int]) -> Floats:
    """[seeds, questions]; the mean over all runs [1, questions] where no seed is common."""
    if not seeds:
        return np.asarray(variant.scores.mean(axis=0, keepdims=True))
    by_seed = {run.seed: run.scores for run in variant.runs}
    return np.stack([by_seed[seed] for seed in seeds])


def _corrected(effects: Sequence[Effect]) -> list[Effect]:
    adjusted = holm({str(at): effect.test.p_value for at, effect in enumerate(effects)})
    return [
        replace(effect, test=in_family(effect.test, len(effects)), adjusted_p=adjusted[str(at)])
        for at, effect in enumerate(effects)
    ]
