"""What a comparison found, in words: one plain sentence a claim."""

from __future__ import annotations

from vqa.ablation.effects import Effect
from vqa.evaluation.comparison import Pair, Variant, p_text
from vqa.evaluation.significance import PairedTest, power_text, signed_text, size_text

LEVEL = 0.05


def pair_sentence(pair: Pair, a: Variant, b: Variant) -> str:
    """ "multiply beats concat by 1.2 ± 0.4, p = 0.003, 5 seeds"."""
    if pair.adjusted_p >= LEVEL:
        found = f"{signed(pair.test)}, {p_text(pair.adjusted_p)}, {_trained(a, b)}"
        return (
            f"no difference found between {a.name} and {b.name} ({found}); {power_text(pair.test)}"
        )
    winner, loser = (a, b) if pair.test.difference > 0 else (b, a)
    doubt = f"{p_text(pair.adjusted_p)}, {_trained(winner, loser)}"
    return f"{winner.name} beats {loser.name} by {size(pair.test)}, {doubt}"


def _trained(a: Variant, b: Variant) -> str:
    """The seeds of both; what was computed and not trained has none."""
    counts = [len(one.runs) for one in (a, b) if not one.computed]
    return _seeds(*counts) if counts else _seeds(len(a.runs), len(b.runs))


def main_sentence(effect: Effect) -> str:
    """ "model.fusion: multiply beats concat by 1.2 ± 0.4 over 2 settings of the other axes, p = 0.003, 5 seeds"."""
    (axis,), (value,), (against,) = effect.axes, effect.values, effect.against
    where = f" over {effect.settings} settings of the other axes" if effect.settings > 1 else ""
    if effect.adjusted_p >= LEVEL:
        found = f"{signed(effect.test)}, {_doubt(effect)}"
        return f"{axis}: no difference found between {value} and {against}{where} ({found}); {power_text(effect.test)}"
    winner, loser = (value, against) if effect.test.difference > 0 else (against, value)
    return f"{axis}: {winner} beats {loser} by {size(effect.test)}{where}, {_doubt(effect)}"


def interaction_sentence(effect: Effect) -> str:
    """ "multiply gains 2.1 ± 0.8 more over concat with soft than with none, p = 0.003, 5 seeds"."""
    (first, second), (a, b), (a0, b0) = effect.axes, effect.values, effect.against
    head = f"{first} × {second}"
    if effect.adjusted_p >= LEVEL:
        found = f"{signed(effect.test)}, {_doubt(effect)}"
        same = f"no difference found between what {a} gains over {a0} with {b} and with {b0}"
        return f"{head}: {same} ({found}); {power_text(effect.test)}"
    more = "more" if effect.test.difference > 0 else "less"
    gain = f"{a} gains {size(effect.test)} {more} over {a0} with {b} than with {b0}"
    return f"{head}: {gain}, {_doubt(effect)}"


def size(test: PairedTest) -> str:
    """The difference without its sign: with its half-width, or its bounds where they are not even."""
    if not _even(test):
        return size_text(test.difference, test.low, test.high)
    return f"{abs(test.difference):.{test.digits}f}{_half_width(test)}"


def signed(test: PairedTest) -> str:
    """The difference with its sign, otherwise as `size`."""
    if not _even(test):
        return signed_text(test.difference, test.low, test.high)
    return f"{test.difference:+z.{test.digits}f}{_half_width(test)}"


def _half_width(test: PairedTest) -> str:
    return f" ± {(test.high - test.low) / 2:.{test.digits}f}"


def _even(test: PairedTest) -> bool:
    """Whether the interval is the difference plus and minus one figure, as that over seeds is."""
    return abs((test.low + test.high) / 2 - test.difference) < 1e-9 and test.high > test.low


def _doubt(effect: Effect) -> str:
    seeds = _seeds(effect.seeds) if effect.seeds else "means over unlike seeds, of these runs only"
    return f"{p_text(effect.adjusted_p)}, {seeds}"


def _seeds(a: int, b: int | None = None) -> str:
    if b is not None and a != b:
        alike = ", taken to vary alike" if min(a, b) == 1 else ""
        return f"{a} and {b} seeds{alike}"
    return "1 seed" if a == 1 else f"{a} seeds"
