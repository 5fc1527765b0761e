"""`trainer.precision=auto`: what it becomes, where that stands, and that it stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import vqa
from tests.training.test_resume import Death, assert_same, die_at
from vqa.ablation.derive import places_of
from vqa.ablation.members import read_member
from vqa.ablation.sorting import sort_members
from vqa.config import Experiment
from vqa.errors import ConfigError
from vqa.model.config import Sizes
from vqa.tracking import resend
from vqa.training import precision, run
from vqa.training.directory import RunDirectory
from vqa.training.distributed import Place
from vqa.training.module import TrainingModule
from vqa.training.precision import gpu_is_fast, has_instructions, products_pay, settled
from vqa.training.run import train

Make = Callable[..., Experiment]
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("cpuinfo", "fast"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 amx_tile\n", True),
        ("flags\t\t: fpu amx_bf16\n", True),
        ("flags\t\t: fpu avx2 avx512f avx512_bf16x\n", False),
        ("model name\t: avx512_bf16\nflags\t\t: fpu avx2\n", False),
        ("flags\t: fpu avx512_bf16\n\nflags\t: fpu avx2\n", False),
        ("Features\t: fp asimd bf16\n", False),
        ("", False),
    ],
)
def test_a_cpu_without_instructions_for_bfloat16_is_told_by_its_flags(
    cpuinfo: str, fast: bool
) -> None:
    assert has_instructions(cpuinfo) is fast


@pytest.mark.parametrize(
    ("plain", "half", "pays"),
    [
        ([2.0], [1.0], True),
        ([1.0], [2.0], False),  # instructions at half the rate
        ([1.1], [1.0], False),  # too little to round for
        (
            [9.0, 2.0, 2.0, 2.0],
            [9.0, 1.0, 7.0, 7.0],
            True,
        ),  # the best of each, whatever else ran meanwhile
        ([2.0, 2.0, 9.0, 9.0], [9.0, 9.0, 9.0, 1.9], False),
    ],
)
def test_instructions_for_bfloat16_must_also_pay(
    plain: list[float], half: list[float], pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {torch.float32: iter(plain), torch.bfloat16: iter(half)}
    monkeypatch.setattr(precision, "product_seconds", lambda dtype: next(seconds[dtype]))
    assert products_pay(len(plain)) is pays


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_takes_time(dtype: torch.dtype) -> None:
    assert precision.product_seconds(dtype, 8) > 0


def test_other_load_is_not_in_a_product_s_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members of a grid are to settle alike beside each other."""
    clocks = {"thread_time": iter([1.0, 1.5]), "perf_counter": iter([1.0, 9.0])}
    for name, ticks in clocks.items():
        monkeypatch.setattr(precision.time, name, lambda ticks=ticks: next(ticks))
    assert precision.product_seconds(torch.float32, 8) == 0.5


@pytest.mark.parametrize(
    ("capability", "fast"), [((7, 0), False), ((7, 5), False), ((8, 0), True), ((12, 1), True)]
)
def test_a_gpu_is_told_by_its_capability(capability: tuple[int, int], fast: bool) -> None:
    assert gpu_is_fast(capability) is fast


def test_each_device_is_asked_for_itself(
    experiment: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    auto = experiment(trainer={"precision": "auto"})
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    gpu = torch.device("cuda", 0)
    assert settled(auto, gpu).trainer.precision == "bf16-mixed"
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(precision, "Path", lambda _: info)
    assert settled(auto, CPU).trainer.precision == "32-true"  # nothing is known of it
    info.write_text("flags : amx_bf16\n")
    for pays, became in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(precision, "products_pay", lambda pays=pays: pays)
        assert settled(auto, CPU).trainer.precision == became
    half = experiment(trainer={"precision": "16-mixed"})
    assert settled(half, gpu) is half


def on_a_machine(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "is_fast", lambda _: fast)


def began(path: Path) -> list[str]:
    events = [json.loads(line) for line in (path / "events.jsonl").read_text().splitlines()]
    return [e["precision"] for e in events if e["event"] in ("started", "resumed")]


@pytest.mark.parametrize(("fast", "became"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_run_keeps_what_it_began_with_on_another_machine(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool, became: str
) -> None:
    """Killed before its first checkpoint and after it, each time going on where `auto` would be something else."""
    frozen = {"name": "small", "channels": [4, 8], "strides": [2, 2], "frozen": True}
    fields: dict[str, Any] = {"model": {"image_encoder": frozen}}
    trainer = {"max_epochs": 2, "accelerator": "cpu", "checkpoint_every_n_steps": 2}
    auto = experiment(**fields, trainer={**trainer, "precision": "auto"})
    for number, batch in enumerate((1, 4)):
        with monkeypatch.context() as patch:
            on_a_machine(fast == (number == 0), patch)
            die_at(batch, patch)
            with pytest.raises(Death):
                train(auto, tmp_path / "run")
    on_a_machine(not fast, monkeypatch)
    assert train(auto, tmp_path / "run").fields["precision"] == became
    assert began(tmp_path / "run") == [became] * 3
    directory = RunDirectory(tmp_path / "run")
    assert directory.experiment() == auto, "as it was submitted"
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["config_hash"] == auto.digest()
    assert vqa.load(tmp_path / "run").experiment.trainer.precision == became
    chosen = experiment(**fields, trainer={**trainer, "precision": became})
    train(chosen, tmp_path / "chosen")
    assert_same(tmp_path / "chosen", tmp_path / "run")
    assert memory(tmp_path / "chosen") == memory(tmp_path / "run")


def test_processes_do_what_all_of_them_can(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_machine(True, monkeypatch)
    monkeypatch.setattr(Place, "least", lambda _, value, __: min(value, 0))  # another one cannot
    auto = experiment(
        trainer={"max_steps": 1, "max_epochs": 1, "accelerator": "cpu", "precision": "auto"},
        data={"resident": "always"},
    )
    assert train(auto, tmp_path / "run").fields["precision"] == "32-true"


def test_what_is_sent_to_wandb_again_says_what_auto_became(
    experiment: Make, tmp_path: Path
) -> None:
    auto = experiment(trainer={"precision": "auto"})
    (tmp_path / "experiment.yaml").write_text(auto.to_yaml())
    assert resend._experiment(tmp_path) == auto
    (tmp_path / "result.json").write_text('{"precision": "bf16-mixed"}')
    assert resend._experiment(tmp_path) == auto.with_precision("bf16-mixed")


def memory(path: Path) -> tuple[str, str]:
    """Which features were used, and from where."""
    events = [json.loads(line) for line in (path / "events.jsonl").read_text().splitlines()]
    plan = [event for event in events if event["event"] == "memory"][-1]
    return plan["what"], plan["source"]


def test_a_comparison_says_where_auto_became_different_things(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = experiment(trainer={"max_steps": 1, "accelerator": "cpu", "precision": "auto"})
    for fast in (True, False):
        with monkeypatch.context() as patch:
            on_a_machine(fast, patch)
            train(auto, tmp_path / str(fast))
    members = [read_member(tmp_path / name) for name in ("True", "False")]
    places = places_of(members)
    assert [place.labels for place in places] == [
        {"trainer.precision": "bf16-mixed"},
        {"trainer.precision": "32-true"},
    ]
    notes = sort_members(members, places).notes
    assert notes == ["trainer.precision differs (32-true: 32-true; bf16-mixed: bf16-mixed)"]
    assert sort_members(members[:1], places[:1]).notes == []


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe\n", b"[1]\n", b'{"event": "sta'])
def test_what_a_run_began_with_is_found_among_what_cannot_be_read(
    tmp_path: Path, damage: bytes
) -> None:
    directory = RunDirectory(tmp_path)
    assert directory.precision() is None
    (tmp_path / "events.jsonl").write_bytes(damage)
    directory.event("started", step=0, precision="bf16-mixed")
    directory.event("started", step=0, precision="32-true")
    assert directory.precision() == "bf16-mixed"


def test_half_precision_of_a_gpu_is_refused_without_one(experiment: Make, tmp_path: Path) -> None:
    made = experiment(trainer={"precision": "16-mixed", "accelerator": "cpu"})
    with pytest.raises(ConfigError, match="16-mixed wants a GPU"):
        train(made, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("precision", "expected"), [("16-mixed", (5.0, 1.0, 1)), ("32-true", (float("inf"), 2.0, 2))]
)
def test_a_step_that_a_scaler_leaves_out_is_in_no_figure(
    precision: str, expected: tuple[float, float, int], experiment: Make
) -> None:
    made = experiment(trainer={"precision": precision, "gradient_clip_val": 1.0})
    module = TrainingModule(made.model.build(Sizes(16, 16, words=9, answers=5)), made, 10, 10)
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    for gradient in ([float("inf"), 0.0], [3.0, 4.0]):
        weight.grad = torch.tensor(gradient)
        module.configure_gradient_clipping(optimizer)
    assert (module.gradient_norm, module.clipped, module.steps_seen) == expected
