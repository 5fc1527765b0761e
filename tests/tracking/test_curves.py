"""Curves of journals: whole, sound or not, growing or cut back."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.tracking import records
from vqa.tracking.buckets import Buckets
from vqa.tracking.curves import CurveCache, Curves, read_curves, seed_band


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def write(journal: Path, lines: list[Any], mode: str = "w") -> Path:
    with journal.open(mode) as file:
        file.writelines(f"{json.dumps(line)}\n" for line in lines)
    return journal


def losses(count: int, start: int = 0) -> list[dict[str, float]]:
    return [
        {"step": at, "epoch": 0, "time": at / 10, "train/loss": 1 / (1 + at)}
        for at in range(start, start + count)
    ]


@given(
    st.lists(st.lists(st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf])), max_size=8),
    st.integers(2, 9),
)
def test_buckets_hold_every_value_however_it_came(parts: list[list[float]], most: int) -> None:
    buckets, values = Buckets(most), np.array([value for part in parts for value in part])
    begin = 0
    for part in parts:
        buckets.add(np.arange(begin, begin + len(part), dtype=float), np.array(part))
        begin += len(part)
    stride = 1
    while -(-len(values) // stride) > most:
        stride *= 2
    expected = [values[at : at + stride] for at in range(0, len(values), stride)]
    assert len(buckets.first) == len(expected) <= most
    for at, held in enumerate(expected):
        finite = held[np.isfinite(held)]
        assert (buckets.first[at], buckets.last[at]) == (at * stride, at * stride + len(held) - 1)
        assert buckets.counts[at] == len(finite)
        assert buckets.sums[at] == pytest.approx(finite.sum(), abs=1e-6)
        assert buckets.lows[at] == min(finite, default=math.inf)
        assert buckets.highs[at] == max(finite, default=-math.inf)


def test_a_long_journal_is_downsampled_and_not_truncated(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "BLOCK", 10_000)  # many blocks
    lines = losses(5000)
    lines[3210]["train/loss"] = 99.0
    curve = read_curves(write(journal, lines), points=100).by_name["train/loss"]
    assert 50 <= len(curve.steps) <= 100
    assert (curve.steps[0], curve.steps[-1], curve.records, curve.odd) == (0, 4999, 5000, 0)
    assert curve.highs.max() == 99.0
    assert curve.lows.min() == curve.last == lines[-1]["train/loss"]
    assert np.all(np.diff(curve.steps) > 0)


def test_a_short_journal_is_shown_as_it_is(journal: Path) -> None:
    write(journal, [*losses(3), {"step": 2, "epoch": 0, "time": 1.0, "val/accuracy": 50}])
    found = read_curves(journal)
    assert list(found.by_name) == ["train/loss", "val/accuracy"]
    assert (found.records, found.skipped, found.last_step) == (4, 0, 2)
    loss = found.by_name["train/loss"]
    assert loss.steps.tolist() == [0, 1, 2]
    assert loss.means.tolist() == loss.lows.tolist() == loss.highs.tolist() == [1, 1 / 2, 1 / 3]


def test_values_that_are_no_numbers_are_gaps_and_counted(journal: Path) -> None:
    values = [1.0, math.nan, math.inf, -math.inf, 2.0]
    write(journal, [{"step": at, "a": value} for at, value in enumerate(values)])
    curve = read_curves(journal).by_name["a"]
    assert (curve.records, curve.odd, curve.last) == (5, 3, 2.0)
    assert curve.to_json()["means"] == [1.0, None, None, None, 2.0]
    json.dumps(curve.to_json(), allow_nan=False)


def test_figures_too_large_to_add_up_leave_valid_json(journal: Path) -> None:
    write(journal, [{"step": at, "a": 1.7e308} for at in range(100)])
    json.dumps(read_curves(journal, points=4).to_json(), allow_nan=False)


@pytest.mark.parametrize(
    "damage",
    [
        b"{broken\n",
        b"[1, 2]\n",
        b"17\n",
        b'{"train/loss": 1}\n',
        b'{"step": null, "train/loss": 1}\n',
        b'{"step": "7", "train/loss": 1}\n',
        b'{"step": NaN, "train/loss": 1}\n',
        b"\x00\xff\xfe\n",
        b"[" * 200_000 + b"\n",
        b'{"a":' * 200_000 + b"\n",
    ],
)
@pytest.mark.parametrize("names", [None, ["train/loss"]])
def test_a_damaged_line_is_skipped_and_counted(
    journal: Path, damage: bytes, names: list[str] | None
) -> None:
    write(journal, losses(3))
    with journal.open("ab") as file:
        file.write(damage)
    write(journal, losses(2, 3), "a")
    found = read_curves(journal, names=names)
    assert (found.records, found.skipped, found.last_step) == (5, 1, 4)
    assert found.by_name["train/loss"].steps.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("odd", ['"text"', "[1]", '{"b": 1}', "true", "null"])
def test_a_name_with_values_of_several_kinds_shows_its_numbers(journal: Path, odd: str) -> None:
    journal.write_text(
        f'{{"step": 1, "a": 1}}\n{{"step": 2, "a": {odd}}}\n{{"step": 3, "a": 2.5}}\n'
    )
    curve = read_curves(journal).by_name["a"]
    assert (curve.steps.tolist(), curve.means.tolist()) == ([1, 3], [1, 2.5])


def test_a_last_line_that_a_death_cut_off_is_left_out_until_it_is_whole(journal: Path) -> None:
    cache = CurveCache()
    write(journal, losses(2))
    with journal.open("a") as file:
        file.write('{"step": 2, "train/loss": 0.')
    assert cache.read(journal).records == 2
    with journal.open("a") as file:
        file.write("25}\n")
    found = cache.read(journal)
    assert (found.records, found.skipped, found.by_name["train/loss"].last) == (3, 0, 0.25)


def test_no_journal_has_no_curves(journal: Path) -> None:
    assert read_curves(journal) == Curves()
    journal.touch()
    assert read_curves(journal) == Curves()


def test_a_line_longer_than_a_block_does_not_end_the_reading(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "BLOCK", 1000)
    write(journal, [*losses(2), {"step": 2, "junk": "x" * 5000}, *losses(2, 3)])
    assert read_curves(journal).by_name["train/loss"].steps.tolist() == [0, 1, 3, 4]


def check_same(a: Curves, b: Curves) -> None:
    """But for the order in which figures were added up."""
    assert (a.records, a.skipped, a.last_step) == (b.records, b.skipped, b.last_step)
    assert list(a.by_name) == list(b.by_name)
    for one, other in zip(a.by_name.values(), b.by_name.values(), strict=True):
        for name in ("steps", "means", "lows", "highs", "records", "odd", "last"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12)


@pytest.mark.parametrize("sparse", [False, True])
def test_names_ask_for_less_and_find_the_same(journal: Path, sparse: bool) -> None:
    lines = losses(400)
    for at in range(0, 400, 100 if sparse else 2):
        lines[at]['odd "näme"'] = at
    whole = read_curves(write(journal, lines))
    part = read_curves(journal, names=['odd "näme"', "absent", "step"])
    assert list(part.by_name) == ['odd "näme"']
    assert (part.records, part.last_step) == (whole.records, whole.last_step) == (400, 399)
    assert part.by_name['odd "näme"'].to_json() == whole.by_name['odd "näme"'].to_json()


Change = Callable[[Path], object]


def replaced(journal: Path) -> None:
    other = journal.with_name("other")
    write(other, losses(300, 1000)).replace(journal)


def cut_back_and_gone_on(journal: Path) -> None:
    kept = journal.read_bytes().splitlines(keepends=True)[:100]
    with journal.open("r+b") as file:  # the same file, as a resumed run has it
        file.truncate(len(b"".join(kept)))
    write(journal, [{**line, "time": 1e6, "train/loss": 7} for line in losses(400, 100)], "a")


CHANGES: dict[str, Change] = {
    "nothing": Path.exists,
    "grown": lambda journal: write(journal, losses(300, 500), "a"),
    "cut back": lambda journal: write(journal, losses(100)),
    "cut back and gone on": cut_back_and_gone_on,
    "replaced": replaced,
    "gone": lambda journal: journal.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_cache_says_what_the_file_says_now(journal: Path, change: str) -> None:
    cache = CurveCache(points=64)
    cache.read(write(journal, losses(500)))
    CHANGES[change](journal)
    check_same(cache.read(journal), read_curves(journal, points=64))


def test_only_what_is_new_is_read(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    real = records._parse

    def noted(block: tuple[bytes, int], names: frozenset[str] | None) -> records.Columns:
        parsed.append(block[0].count(b"\n"))
        return real(block, names)

    monkeypatch.setattr(records, "_parse", noted)
    cache = CurveCache()
    write(journal, losses(500))
    for _ in range(3):
        cache.read(journal)
        cache.read(journal, ["train/loss"])  # is there already
    write(journal, losses(7, 500), "a")
    assert cache.read(journal).records == 507
    assert parsed == [500, 7]


def test_the_cache_holds_no_more_than_it_may(tmp_path: Path) -> None:
    cache = CurveCache(most=3)
    journals = [write(tmp_path / f"{at}.jsonl", losses(3)) for at in range(10)]
    assert all(found.records == 3 for found in cache.read_all(journals))
    assert [path for path, _ in cache._readers] == journals[-3:]


def test_many_threads_may_ask_at_once(journal: Path) -> None:
    cache, found = CurveCache(), []
    write(journal, losses(2000))
    threads = [
        threading.Thread(target=lambda: found.append(cache.read(journal).records)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2000] * 8


def test_seeds_make_a_band(tmp_path: Path) -> None:
    runs = [[{"step": at, "val/accuracy": base + at} for at in (10, 20, 30)] for base in (0, 2, 10)]
    runs[2].pop()  # has not come so far
    found = [read_curves(write(tmp_path / f"{at}.jsonl", lines)) for at, lines in enumerate(runs)]
    band = seed_band(found, "val/accuracy")
    assert band is not None
    assert band.to_json() == {
        "steps": [10, 20, 30],
        "mean": [14, 24, 31],
        "low": [10, 20, 30],
        "high": [20, 30, 32],
        "runs": [3, 3, 2],
    }
    assert seed_band(found, "absent") is None


def test_a_band_over_many_steps_stands_on_few(tmp_path: Path) -> None:
    runs = [read_curves(write(tmp_path / f"{seed}", losses(900 + seed))) for seed in range(3)]
    band = seed_band(runs, "train/loss", points=50)
    assert band is not None
    assert len(band.steps) == 50
    assert (band.steps[0], band.steps[-1], band.runs[0], band.runs[-1]) == (0, 901, 3, 1)
    assert np.all((band.low <= band.mean + 1e-9) & (band.mean <= band.high + 1e-9))


def test_a_band_leaves_out_steps_that_no_run_has(tmp_path: Path) -> None:
    early = [{"step": at, "a": 1} for at in range(3)]
    late = [{"step": at, "a": 2} for at in range(1000, 1003)]
    runs = [read_curves(write(tmp_path / str(len(x) + x[0]["step"]), x)) for x in (early, late)]
    band = seed_band(runs, "a", points=4)
    assert band is not None
    assert np.isfinite(band.mean).all()
