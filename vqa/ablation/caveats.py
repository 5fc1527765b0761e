"""What is to be known of a comparison's seeds and questions before its sentences are believed."""

from __future__ import annotations

from collections.abc import Sequence

from vqa.ablation.effects import Effect
from vqa.evaluation.comparison import Comparison, Variant
from vqa.evaluation.protocols import unscorable

LONE = (
    "a test over 1 seed is of these runs alone: another seed of the same variants may say otherwise"
)


def caveats(
    comparison: Comparison, trained: Sequence[Variant], effects: Sequence[Effect]
) -> list[str]:
    """A note for each."""
    questions = comparison.variants[0].runs[0].predictions
    lone = unscorable(questions, comparison.identity["protocol"] or "")
    return [*_unlike_seeds(trained), *_one_seed(comparison, effects), *lone, *comparison.notes]


def _unlike_seeds(variants: Sequence[Variant]) -> list[str]:
    """That not all variants have the same seeds: their tests then do not pair seeds."""
    seeds = {tuple(sorted(str(run.seed) for run in variant.runs)) for variant in variants}
    if len(seeds) < 2:
        return []
    return ["not all variants have the same seeds; tests between such variants do not pair them"]


def _one_seed(comparison: Comparison, effects: Sequence[Effect]) -> list[str]:
    """That a test knows nothing of how much seeds differ: neither side has a second run."""
    seeds = [max(pair.runs) for pair in comparison.pairs]
    return [LONE] if 1 in [*seeds, *(effect.seeds for effect in effects)] else []
