"""Axes become experiments: every combination with every seed, and the baselines beside them."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vqa.ablation.axes import Axis, Value, find_value, is_value, parse_axes
from vqa.ablation.blind import BLIND, Blind, blinded, neutral
from vqa.ablation.schema import Ablation, Source
from vqa.config import Experiment, parse_experiment, set_value
from vqa.errors import ConfigError
from vqa.tracking.tags import tags

MOST_CELLS = 2000
LONGEST_VARIANT = 50
LONGEST_TAG = 64
"""W&B takes no longer one."""

Combination = tuple[Value, ...]
NAME_DIGITS = 8
"""Of its experiment's digest, in a job's name."""


@dataclass(frozen=True)
class Cell:
    """One run of an ablation.

    Attributes:
        variant: short label, the same for all seeds.
        labels: axis → label of its value; empty for a baseline.
        baseline: which one it is; None for a cell of the grid.
        experiment: complete; can be run alone.
    """

    variant: str
    seed: int
    experiment: Experiment
    labels: dict[str, str] = field(default_factory=dict)
    baseline: str | None = None

    @property
    def name(self) -> str:
        """The job's name: the same for the same experiment in the same place of the grid, and for no other."""
        return f"{self.variant.replace('+', '_')}.s{self.seed}.{self.experiment.digest()[:NAME_DIGITS]}"


@dataclass(frozen=True)
class Grid:
    """An ablation as experiments.

    Attributes:
        axes: in the file's order.
        cells: variants in the order of the axes, the last one fastest, each with all seeds; baselines at the end.
        notes: what was left out or made once.
    """

    ablation: Ablation
    axes: list[Axis]
    cells: list[Cell]
    notes: list[str]

    @property
    def variants(self) -> list[str]:
        """Every variant once, in order."""
        return list(dict.fromkeys(cell.variant for cell in self.cells))


def expand(source: Source) -> Grid:
    """Every experiment of an ablation; the same for the same files, and all of them or none.

    Raises:
        ConfigError: axes, exclusions, a cell or its size do not fit (see `parse_axes`); the cell is named.
    """
    ablation, where = source.ablation, source.where
    _check_tags(source)
    axes = parse_axes(ablation.axes, source.base, where)
    _check_overrides(source, axes)
    _check_size(axes, ablation, where)
    combinations = _combinations(axes, ablation.exclude, where)
    made = [cell for one in combinations for cell in _cells(source, axes, one)]
    _check_effects(axes, made, where)
    joined, notes = _with_baselines(source, axes, combinations, made)
    _check_distinct(joined, where)
    _check_budget(joined, ablation, where)
    return Grid(ablation, axes, joined, [*notes, *_apart(axes)])


def _check_tags(source: Source) -> None:
    tracking = source.base.get("tracking")
    given = tracking.get("tags") if isinstance(tracking, Mapping) else None
    if any("=" in str(tag) for tag in given or ()):
        raise ConfigError(
            "tracking.tags: a tag with = would be read as an axis",
            where=source.where,
            fix="leave the = out",
        )


def _check_overrides(source: Source, axes: Sequence[Axis]) -> None:
    """Refuse an override of what every cell sets by itself: it would change none of them."""
    own = {"seed": "list them under `seeds`", "tracking.group": "write it as `group`"}
    for path in source.ablation.overrides:
        axis = next((one.name for one in axes if one.replaces(path)), None)
        if path not in own and axis is None:
            continue
        by = "the ablation" if axis is None else f"the axis {axis}"
        raise ConfigError(
            f"{path}: {by} sets it in every cell",
            where=f"override of {source.where}",
            fix=own.get(path, "change the axis, or leave the override out"),
        )


def _apart(axes: Sequence[Axis]) -> list[str]:
    """A note on cells whose runs are scored on different questions, which no comparison takes."""
    if not any("data.store" in axis.paths for axis in axes):
        return []
    return [
        "data.store is varied: runs of different stores are compared only once each was scored on one of them"
        " (vqa evaluate RUN --store STORE)"
    ]


def _check_size(axes: Sequence[Axis], ablation: Ablation, where: str) -> None:
    """Refuse too large a grid before anything of it is built."""
    count = math.prod(len(axis.values) for axis in axes) * len(ablation.seeds)
    if count > MOST_CELLS:
        sizes = " × ".join(str(len(axis.values)) for axis in axes)
        raise ConfigError(
            f"{count:,} cells ({sizes} values × {len(ablation.seeds)} seeds), at most {MOST_CELLS:,}",
            where=where,
            fix="fewer values or seeds, or several ablations",
        )


def _combinations(
    axes: Sequence[Axis], exclude: Sequence[Mapping[str, Any]], where: str
) -> list[Combination]:
    rules = [_rule(axes, entry, f"{where}: exclude[{at}]") for at, entry in enumerate(exclude)]
    kept = [
        one
        for one in itertools.product(*(axis.values for axis in axes))
        if not any(_matches(rule, axes, one) for rule in rules)
    ]
    if not kept:
        raise ConfigError("exclude: leaves nothing", where=where)
    for axis, column in zip(axes, zip(*kept, strict=True), strict=True):
        left = {value.label for value in column}
        gone = [value.label for value in axis.values if value.label not in left]
        if gone:
            raise ConfigError(f"exclude: leaves no cell with {axis.name}={gone[0]}", where=where)
    return kept


Rule = dict[str, set[str]]


def _rule(axes: Sequence[Axis], entry: Mapping[str, Any], where: str) -> Rule:
    """Axis → labels; a cell that has one of them on every axis named is left out."""
    if not entry:
        raise ConfigError("names no axis", where=where, fix="write {axis: label, …}")
    rule: Rule = {}
    for name, wanted in entry.items():
        one_of = isinstance(wanted, list) and not is_value(axes, name, wanted)
        options = wanted if one_of else [wanted]
        rule[name] = {find_value(axes, name, one, where)[1].label for one in options}
    return rule


def _matches(rule: Rule, axes: Sequence[Axis], combination: Combination) -> bool:
    labels = _labels(axes, combination)
    return all(labels[name] in wanted for name, wanted in rule.items())


def _labels(axes: Sequence[Axis], combination: Combination) -> dict[str, str]:
    return {axis.name: value.label for axis, value in zip(axes, combination, strict=True)}


def _cells(source: Source, axes: Sequence[Axis], combination: Combination) -> Iterator[Cell]:
    """One combination with every seed."""
    labels = _labels(axes, combination)
    variant, fields = "-".join(labels.values()), changed(source, combination)
    for seed in source.ablation.seeds:
        yield _cell(source, fields, variant, seed, labels)


def changed(source: Source, combination: Combination) -> dict[str, Any]:
    """The base with a combination's changes; sections before the keys within them."""
    fields = copy.deepcopy(source.base)
    changes = {path: value for one in combination for path, value in one.changes.items()}
    for path in sorted(changes, key=lambda path: (path.count("."), path)):
        set_value(fields, path, copy.deepcopy(changes[path]), where=f"{source.where}: {path}")
    return fields


def _cell(
    source: Source,
    fields: Mapping[str, Any],
    variant: str,
    seed: int,
    labels: dict[str, str],
    baseline: str | None = None,
) -> Cell:
    where = f"{source.where}, cell {variant}"
    if len(variant) > LONGEST_VARIANT:
        raise ConfigError(
            f"its name is longer than {LONGEST_VARIANT} characters",
            where=where,
            fix="give short labels",
        )
    marks = tags(variant, labels, baseline, "chance" in source.ablation.baselines)
    long = [mark for mark in marks if len(mark) > LONGEST_TAG]
    if long:
        raise ConfigError(
            f"the tag {long[0]!r} has over {LONGEST_TAG} characters",
            where=where,
            fix="shorter labels",
        )
    tracking = dict(fields.get("tracking") or {})
    tracking |= {"group": source.ablation.group, "tags": [*(tracking.get("tags") or ()), *marks]}
    experiment = parse_experiment({**fields, "seed": seed, "tracking": tracking}, where=where)
    return Cell(variant, seed, experiment, labels, baseline)


def _check_effects(axes: Sequence[Axis], cells: Sequence[Cell], where: str) -> None:
    """Refuse two values of an axis that make the same experiment everywhere."""
    digests = {(*cell.labels.values(), cell.seed): cell.experiment.digest() for cell in cells}
    for at, axis in enumerate(axes):
        settings: dict[tuple[Any, ...], dict[Any, str]] = {}
        for key, digest in digests.items():
            settings.setdefault((*key[:at], *key[at + 1 :]), {})[key[at]] = digest
        for a, b in _alike(settings.values()):
            if all(one[a] == one[b] for one in settings.values() if a in one and b in one):
                raise ConfigError(
                    f"axes.{axis.name}: {a} and {b} make the same experiment", where=where
                )


def _alike(settings: Iterable[Mapping[Any, str]]) -> Iterator[tuple[Any, Any]]:
    """Pairs of labels that make the same experiment in some setting of the other axes."""
    for digests in settings:
        same: dict[str, list[Any]] = {}
        for label, digest in digests.items():
            yield from ((earlier, label) for earlier in same.setdefault(digest, []))
            same[digest].append(label)


def _check_distinct(cells: Sequence[Cell], where: str) -> None:
    """Refuse variants of one name, and variants that are one experiment."""
    places: set[tuple[str, int]] = set()
    digests: dict[str, str] = {}
    for cell in cells:
        if (cell.variant, cell.seed) in places:
            raise ConfigError(
                f"two cells are called {cell.variant}", where=where, fix="give other labels"
            )
        places.add((cell.variant, cell.seed))
        same = digests.setdefault(cell.experiment.digest(), cell.variant)
        if same != cell.variant:
            raise ConfigError(
                f"the cells {same} and {cell.variant} are the same experiment",
                where=where,
                fix="exclude one of them",
            )


def _with_baselines(
    source: Source, axes: Sequence[Axis], combinations: Sequence[Combination], made: list[Cell]
) -> tuple[list[Cell], list[str]]:
    """The grid and its baselines, each experiment once."""
    cells, notes = list(made), []
    known = {cell.experiment.digest() for cell in made}
    for kind in BLIND:
        if kind not in source.ablation.baselines:
            continue
        fresh = list(_baseline(source, axes, combinations, kind, known))
        cells += fresh
        if not fresh:
            notes.append(f"{kind}: adds no experiment that the grid has not")
    return cells, notes


def _baseline(
    source: Source,
    axes: Sequence[Axis],
    combinations: Sequence[Combination],
    kind: Blind,
    known: set[str],
) -> Iterator[Cell]:
    """A baseline of every cell; those of cells that differ in nothing it sees are one."""
    for combination in combinations:
        seen = changed(source, combination)
        fields = blinded(kind, seen, source.base)
        if fields is None:
            continue
        told = zip(axes, combination, strict=True)
        labels = [value.label for axis, value in told if not neutral(kind, axis.paths, seen)]
        variant = "-".join([kind, *labels])
        for seed in source.ablation.seeds:
            cell = _cell(source, fields, variant, seed, {}, kind)
            digest = cell.experiment.digest()
            if digest not in known:
                known.add(digest)
                yield cell


def _check_budget(cells: Sequence[Cell], ablation: Ablation, where: str) -> None:
    most = ablation.budget.max_jobs
    if most and len(cells) > most:
        raise ConfigError(
            f"{len(cells)} runs with baselines, budget.max_jobs allows {most}",
            where=where,
            fix="fewer values, seeds or baselines, or a larger budget",
        )
