"""An ablation's answer: every variant's figures, what beats what, what each axis does, and what was left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from vqa.ablation.caveats import caveats
from vqa.ablation.chance import chance_run
from vqa.ablation.effects import Effect, Factorial
from vqa.ablation.members import Member, chance_is_wanted, costs, users_of
from vqa.ablation.sentences import interaction_sentence, main_sentence, pair_sentence
from vqa.ablation.sorting import Sorted, sort_members
from vqa.errors import InputError, ResultError
from vqa.evaluation.bootstrap import RESAMPLES, Ints, codes
from vqa.evaluation.comparison import (
    Comparison,
    Pair,
    Variant,
    compare_runs,
    variant_figures,
)
from vqa.evaluation.runs import Run, load_run
from vqa.evaluation.significance import mean_over_seeds, power_text
from vqa.names import did_you_mean
from vqa.tracking.tags import Place

TYPE_KINDS = ("per_answer_type", "per_question_type")


@dataclass(frozen=True)
class Row:
    """A variant's figures; scores on 0 to 100, None for what no run says.

    Attributes:
        labels: axis → label; empty outside the grid.
        baseline: question-only, image-only or chance; None in the grid.
        seeds: of its runs; None for what is computed.
        users: who submitted each of its runs; "" for a run of no queue.
        scores: one a run.
        mean, sd: of these; no deviation for a single run.
        low, high: 95 % interval of the mean, over images and, with several runs, over seeds.
        per_answer_type, per_question_type: means over its runs.
        parameters: trained or not.
        questions_per_second: in training; mean over runs, as are the next two.
        seconds_to_best: training time until the best validation.
        peak_memory_mb: MiB; of the GPU where there was one.
    """

    name: str
    labels: dict[str, str]
    baseline: str | None
    seeds: list[int | None]
    runs: list[str]
    mean: float
    sd: float | None
    low: float
    high: float
    per_answer_type: dict[str, float]
    per_question_type: dict[str, float]
    parameters: float | None = None
    questions_per_second: float | None = None
    seconds_to_best: float | None = None
    peak_memory_mb: float | None = None
    scores: list[float] = field(default_factory=list)
    users: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class LeftOut:
    """A run that is not in the figures; `user` as in `Row.users`."""

    variant: str
    seed: int | None
    path: str
    reason: str
    user: str = ""

    @staticmethod
    def of(variant: str, member: Member, reason: str) -> LeftOut:
        """What is told of such a run."""
        return LeftOut(variant, member.seed, str(member.path), reason, member.user)


@dataclass(frozen=True)
class Study:
    """See `to_json` for its shape in files.

    Attributes:
        title: group, folder, or how many runs.
        reference: the variant that the others are tested against.
        axes: axis → its labels, the first one the reference's.
        main_effects: none where a single axis makes them the comparisons once more.
        journals: of each variant's runs.
        users: who submitted runs, those that do not count too.
    """

    title: str
    comparison: Comparison
    rows: list[Row]
    reference: str
    axes: dict[str, list[str]]
    main_effects: list[Effect]
    interactions: list[Effect]
    left_out: list[LeftOut]
    notes: list[str]
    images: int = 0
    journals: dict[str, list[Path]] = field(default_factory=dict)
    users: list[str] = field(default_factory=list)

    @property
    def pairs(self) -> list[Pair]:
        """Every other variant against the reference."""
        return self.comparison.pairs

    @property
    def claims(self) -> list[str]:
        """A sentence for each test of two variants."""
        named = {variant.name: variant for variant in self.comparison.variants}
        return [pair_sentence(pair, named[pair.a], named[pair.b]) for pair in self.pairs]

    @property
    def effect_claims(self) -> list[str]:
        """A sentence for each effect of an axis and each interaction of two."""
        return [
            *(main_sentence(effect) for effect in self.main_effects),
            *(interaction_sentence(effect) for effect in self.interactions),
        ]

    def type_names(self, kind: str) -> list[str]:
        """The answer or question types of the data."""
        return sorted({name for row in self.rows for name in getattr(row, kind)})

    @property
    def shared(self) -> bool:
        """Whether it is to be said whose run is whose."""
        return len(self.users) > 1

    def difference(self, row: Row, kind: str, name: str) -> float | None:
        """A variant's score on one type less the reference's."""
        reference = next(one for one in self.rows if one.name == self.reference)
        mine, theirs = getattr(row, kind).get(name), getattr(reference, kind).get(name)
        return None if mine is None or theirs is None else float(mine - theirs)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready object, of a stable shape.

        `title, protocol, split, data_fingerprint, n` (questions), `images, users, reference, axes` {axis: [label]},
        `variants` [fields of `Row`], `comparisons` [`a, b` (the reference), fields of `PairedTest`,
        `adjusted_p_value, paired_seeds, runs` (of either), `only_a_right, only_b_right, sentence, power`],
        `main_effects` and `interactions` [`axes, values, against, settings, seeds`, fields of `PairedTest`,
        `adjusted_p_value, sentence`], `left_out` [fields of `LeftOut`], `correction, notes`.
        """
        shown = self.comparison.to_json()
        pairs = [
            {**shown, "sentence": claim, "power": power_text(pair.test)}
            for shown, claim, pair in zip(
                shown["comparisons"], self.claims, self.pairs, strict=True
            )
        ]
        return {
            "title": self.title,
            **self.comparison.identity,
            "n": shown["n"],
            "images": self.images,
            "users": self.users,
            "reference": self.reference,
            "axes": self.axes,
            "variants": [asdict(row) for row in self.rows],
            "comparisons": pairs,
            "main_effects": [
                {**one.to_json(), "sentence": main_sentence(one)} for one in self.main_effects
            ],
            "interactions": [
                {**one.to_json(), "sentence": interaction_sentence(one)}
                for one in self.interactions
            ],
            "left_out": [asdict(one) for one in self.left_out],
            "correction": "Holm",
            "notes": self.notes,
        }


@dataclass(frozen=True)
class Options:
    """How a study is made.

    Attributes:
        baseline: the variant that the others are tested against; the first of the grid where None.
        split, protocol: see `load_run`.
        chance: whether blind guessing joins; as the ablation said where None.
    """

    baseline: str | None = None
    split: str = ""
    protocol: str = ""
    resamples: int = RESAMPLES
    chance: bool | None = None


@dataclass
class _Loaded:
    """Variants with their runs and members, and the runs that could not be read."""

    variants: list[Variant] = field(default_factory=list)
    members: dict[str, list[Member]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def journals(self) -> dict[str, list[Path]]:
        """Of each variant's runs."""
        return {
            name: [run.path / "metrics.jsonl" for run in runs]
            for name, runs in self.members.items()
        }


def make_study(
    title: str,
    members: Sequence[Member],
    places: Sequence[Place],
    options: Options | None = None,
    load: Callable[[Path], Run] | None = None,
) -> Study:
    """Read the runs and compare them.

    Args:
        places: of the members, one each.
        load: reads a run; by default `load_run` with the options' split and protocol.

    Raises:
        ResultError: fewer than two variants have a run that can be read, no such baseline, or runs that cannot be
            compared.
    """
    options = options or Options()
    found = sort_members(members, places)
    loaded = _load(found, _loader(options, load))
    in_grid = [one.name for one in loaded.variants if found.places[one.name].baseline is None]
    chance, note = _chance(loaded, found.places, options)
    everything = [*loaded.variants, *chance]
    if len(everything) < 2:
        raise _too_few(title, found, loaded.left_out)
    reference = _reference(options.baseline, everything, in_grid)
    comparison = compare_runs(everything, baseline=reference, resamples=options.resamples)
    images = codes(item.image_id for item in everything[0].runs[0].predictions)
    rows = [_row(one, loaded, found.places.get(one.name), images, options) for one in everything]
    axes, factorial = _factorial(loaded.variants, found.places, reference, images, options)
    if len(axes) == 1 and reference in in_grid:
        factorial = None  # the comparisons with the reference are its effects
    main_effects = factorial.main_effects() if factorial else []
    interactions = factorial.interactions() if factorial else []
    told = caveats(comparison, loaded.variants, [*main_effects, *interactions])
    lacking = factorial.lacking() if factorial else []
    return Study(
        title=title,
        comparison=comparison,
        rows=rows,
        reference=reference,
        axes=axes,
        main_effects=main_effects,
        interactions=interactions,
        left_out=loaded.left_out,
        notes=[*found.notes, *note, *lacking, *told],
        images=int(images.max()) + 1,
        journals=loaded.journals,
        users=users_of(members),
    )


def _loader(options: Options, load: Callable[[Path], Run] | None) -> Callable[[Path], Run]:
    if load is None:
        return partial(load_run, split=options.split, protocol=options.protocol)
    return load


def _load(found: Sorted, load: Callable[[Path], Run]) -> _Loaded:
    """Read predictions; a run whose files cannot be read is left out."""
    loaded = _Loaded()
    for place, member, reason in found.left_out:
        loaded.left_out.append(LeftOut.of(place.variant, member, reason))
    for name, members in found.variants.items():
        runs: list[Run] = []
        for member in members:
            try:
                runs.append(load(member.path))
            except InputError as error:
                loaded.left_out.append(LeftOut.of(name, member, error.what))
                continue
            loaded.members.setdefault(name, []).append(member)
        if runs:
            loaded.variants.append(Variant(name, runs))
    return loaded


def _too_few(title: str, found: Sorted, left_out: Sequence[LeftOut]) -> ResultError:
    """What is to be done depends on why runs were left out."""
    reasons = "; ".join(f"{one.variant} seed {one.seed} {one.reason}" for one in left_out[:3])
    shown = f" ({reasons})" if reasons else ""
    if any("predictions" in one.reason or "protocol" in one.reason for one in left_out):
        fix = "see --split and --protocol; `vqa evaluate RUN --split S` makes predictions of another split"
    elif any(member.goes_on for _, member, _ in found.left_out):
        fix = "wait for the runs, or see `vqa jobs`"
    else:
        fix = "train a second one" + (", or `vqa resume` those that failed" if left_out else "")
    what = f"a comparison needs two variants with a finished run{shown}"
    return ResultError(what, where=title, fix=fix)


def _chance(
    loaded: _Loaded, places: Mapping[str, Place], options: Options
) -> tuple[list[Variant], list[str]]:
    wanted = chance_is_wanted(places.values()) if options.chance is None else options.chance
    if not wanted or not loaded.variants:
        return [], []
    first = loaded.variants[0]
    try:
        name, run = chance_run(first.runs[0], loaded.members[first.name][0].experiment)
    except InputError as error:
        return [], [f"chance is not shown: {error}"]
    return [Variant(f"{name} (computed)" if name in places else name, [run])], []


def _reference(wanted: str | None, variants: Sequence[Variant], in_grid: Sequence[str]) -> str:
    names = [variant.name for variant in variants]
    if wanted is None:
        return in_grid[0] if in_grid else names[0]
    if wanted not in names:
        raise ResultError(f"no variant {wanted!r}{did_you_mean(wanted, names)}", where="--baseline")
    return wanted


def _row(
    variant: Variant, loaded: _Loaded, place: Place | None, images: Ints, options: Options
) -> Row:
    figures = variant_figures(variant)
    low, high = mean_over_seeds(variant.scores, images, resamples=options.resamples)
    members = loaded.members.get(variant.name, [])
    return Row(
        name=variant.name,
        labels=dict(place.labels) if place else {},
        baseline=place.baseline if place else "chance",
        seeds=[run.seed for run in variant.runs] if members else [],
        runs=[run.name for run in variant.runs] if members else [],
        mean=figures["overall"]["mean"],
        sd=figures["overall"]["sd"],
        low=low,
        high=high,
        per_answer_type=figures["per_answer_type"],
        per_question_type=figures["per_question_type"],
        scores=[float(run.scores.mean()) for run in variant.runs],
        users=[member.user for member in members],
        **costs(members),
    )


def _factorial(
    variants: Sequence[Variant],
    places: Mapping[str, Place],
    reference: str,
    images: Ints,
    options: Options,
) -> tuple[dict[str, list[str]], Factorial | None]:
    """The grid, where the variants have axes; each axis' labels with the reference's first."""
    labelled = {one.name: places[one.name].labels for one in variants if places[one.name].labels}
    names = next((tuple(labels) for labels in labelled.values()), ())
    if not names or any(tuple(labels) != names for labels in labelled.values()):
        return {}, None
    base = labelled.get(reference) or next(iter(labelled.values()))
    axes = {
        name: list(dict.fromkeys([base[name], *(labels[name] for labels in labelled.values())]))
        for name in names
    }
    by_labels = {
        tuple(labelled[one.name].values()): one for one in variants if one.name in labelled
    }
    return axes, Factorial(names, tuple(base.values()), by_labels, images, options.resamples)
