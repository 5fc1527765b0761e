"""`vqa list`: what there is, from the unions themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vqa.cli import main
from vqa.commands.list import FAMILIES, WITHOUT_PARAMETERS
from vqa.evaluation.protocols import PROTOCOLS
from vqa.model.catalogue import UNIONS, members
from vqa.tracking.curve_names import CURVES

BRICKS = [what for what in FAMILIES if what not in WITHOUT_PARAMETERS]


def _names(family: str) -> list[str]:
    return [str(member.model_fields["name"].default) for member in members(family)]


@pytest.mark.parametrize("what", BRICKS)
def test_every_member_of_the_unions_is_listed(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", what, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    found = [(entry["family"], entry["name"]) for entry in entries]
    assert found == [(family, name) for family in FAMILIES[what] for name in _names(family)]
    for entry in entries:
        assert entry["summary"].endswith((".", "…", "`"))
        assert "\n" not in entry["summary"]
        assert set(entry) == {
            "family", "name", "summary", "paper", "formula", "defaults", "allowed", "meanings",
            "parameters", "parameter_formula",
        }  # fmt: skip
        assert all(entry["allowed"].values())
        assert all(entry["meanings"].values())


def test_no_family_is_left_out() -> None:
    listed = {family for families in FAMILIES.values() for family in families}
    assert listed == {*UNIONS, "protocol", "tracker", "curve"}


def test_a_fusion_says_sizes_parameters_and_paper(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "fusions", "--filter", "MUTAN:"]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].startswith("mutan  3,698,640 parameters  dim 360, image_dim 360")
    assert lines[2].strip().startswith("z = Σᵣ")
    assert lines[3].strip().startswith("Ben-younes et al. 2017")
    assert lines[4].strip().startswith("parameters: (v + 1) * image_dim")
    assert (
        "    rank=10 (≥ 1, ≤ 4096): of each slice of the core; no more than the smaller width"
        in lines
    )
    assert "    activation=tanh (relu | tanh | none): of both projections" in lines
    assert len(lines) == 11
    assert "image vectors of 2048, question vectors of 1024" in shown.err


@pytest.mark.parametrize(
    ("what", "word", "name"),
    [
        ("encoders", "GloVe", "lstm"),
        ("attentions", "REINFORCE", "hard"),
        ("datasets", "medical", "slake"),
    ],
)
def test_what_stands_in_a_setting_is_found(
    what: str, word: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", what, "--filter", word]) == 0
    assert name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "text", "names"),
    [
        ("fusions", "closed configuration", []),
        ("fusions", "Superdiagonal", ["concat_mlp", "block"]),
        ("attentions", "straight_through", ["hard"]),
        ("attentions", "alternating", ["co_attention"]),
        (
            "encoders",
            "frozen",
            ["small", "torchvision", "backbone", "timm", "regions", "transformers"],
        ),
        ("datasets", "sort_of_clevr", ["sort-of-clevr"]),
        ("datasets", "hugging face", ["hub"]),
        ("recipes", "easy-vqa", ["easy_vqa"]),
        ("recipes", "clevr-film", ["clevr_film"]),
    ],
)
def test_a_filter_searches_what_each_says_of_itself(
    what: str, text: str, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", what, "--filter", text, "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == names


def test_every_kind_of_setting_says_what_it_may_be(capsys: pytest.CaptureFixture[str]) -> None:
    for what in BRICKS:
        assert main(["list", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    for setting in (
        "estimator=straight-through (reinforce | straight-through): ",
        "pool=mean (mean | flatten): ",
        "normalize=true (true | false): ",
        "dropout=0.0 (≥ 0, < 1): ",
        "hidden=[256, 256, 256, 256] (list, each ≥ 1, ≤ 65536): ",
        "stage=null (text | list, each text | null): ",
        "model=resnet18 (text): ",
        "model=… (text, needed): ",
        "settings={} (a mapping): ",
        "encoder=shared (shared | gru | lstm | rnn): ",
    ):
        assert any(line.strip().startswith(setting) for line in lines), setting


def test_what_needs_a_setting_has_no_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "encoders", "--filter", "text encoder", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["name"], entry["parameters"]) == ("transformers", None)
    assert entry["defaults"]["model"] is None


def test_protocols(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "protocols", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in entries] == list(PROTOCOLS)
    assert all(entry["summary"] for entry in entries)
    assert main(["list", "protocols", "--filter", "gqa"]) == 0
    assert capsys.readouterr().out.startswith("gqa/1\n")


def test_trackers_and_curves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "trackers"]) == 0
    shown = capsys.readouterr()
    assert "mlflow\n    An MLflow run, on the server that `MLFLOW_TRACKING_URI` names" in shown.out
    assert shown.err == ""
    assert main(["list", "curves", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in entries] == [curve.name for curve in CURVES]


def test_a_filter_that_fits_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "protocols", "--filter", "zzz"]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "none of the protocols mentions 'zzz'" in shown.err


def test_an_unknown_kind_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["list", "engines"])
    assert exit_.value.code == 2
    assert "fusions" in capsys.readouterr().err


def test_the_stores_of_this_machine(
    scenes_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VQA_HOME", str(tmp_path))
    monkeypatch.delenv("VQA_SERVER", raising=False)
    assert main(["list", "stores"]) == 0
    said = capsys.readouterr()
    assert (said.out, f"--to {tmp_path}/stores/NAME makes one" in said.err) == ("", True)
    (tmp_path / "settings.yaml").write_text(f"stores: {{mine: {scenes_store}}}\n")
    assert main(["list", "stores"]) == 0
    assert capsys.readouterr().out.startswith("mine  (source scenes)  60 images")
