"""What W&B is shown of a run, record by record, by W&B's own reader of its offline files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqa.data.store import Store
from vqa.evaluation.predictions import Prediction, read_predictions
from vqa.tracking.journal import read_journal
from vqa.tracking.predictions import COLUMNS, joined_rows
from vqa.training.run import train

pytestmark = pytest.mark.xdist_group("content")  # its two runs are trained once
Records = list[dict[str, Any]]


def tracking(fusion: str) -> dict[str, Any]:
    tags = [f"variant={fusion}", f"model.fusion={fusion}", "beside=chance", "mine"]
    return {"wandb": "offline", "group": "fusions", "tags": tags, "samples": 2, "predictions": 25}


@pytest.fixture(scope="module")
def two_runs(experiment, tmp_path_factory, records_of) -> list[tuple[Path, Records]]:
    """Two variants of one ablation, trained."""
    found, folder = [], tmp_path_factory.mktemp("runs")
    for seed, fusion in enumerate(("multiply", "sum")):
        model, run = {"fusion": {"name": fusion, "dim": 8}}, folder / fusion
        train(experiment(model=model, tracking=tracking(fusion), seed=seed), run)
        found.append((run, records_of(run)))
    return found


def of_kind(records: Records, kind: str) -> list[dict[str, Any]]:
    return [record[kind] for record in records if record["type"] == kind]


def artifacts(records: Records, kind: str) -> list[dict[str, Any]]:
    return [one for one in of_kind(records, "artifact") if one["type"] == kind]


def table(run: Path, records: Records, name: str) -> dict[str, Any]:
    """The file of a table that W&B uploads."""
    paths = [file["path"] for one in of_kind(records, "files") for file in one["files"]]
    (path,) = [path for path in paths if path.startswith(f"media/table/{name}_")]
    (file,) = run.glob(f"wandb/offline-run-*/files/{path}")
    return json.loads(file.read_text())


def test_two_variants_of_an_ablation_are_comparable_in_wandb(two_runs) -> None:
    shown = []
    for (run, records), fusion in zip(two_runs, ("multiply", "sum"), strict=True):
        (began,) = of_kind(records, "run")
        assert (began["run_group"], began["job_type"]) == ("fusions", fusion)
        assert began["tags"] == tracking(fusion)["tags"]
        place = {"variant": fusion, "labels": {"model.fusion": fusion}, "baseline": None}
        assert began["config"]["update"]["ablation"] == {**place, "chance": True}
        assert began["display_name"].startswith(f"{fusion} s")

        journal = list(read_journal(run / "metrics.jsonl"))
        history = [one["item"] for one in of_kind(records, "history")]
        assert len(history) == len(journal) + 1
        for item, record in zip(history, journal, strict=False):
            assert {name: item[name] for name in record} == pytest.approx(record)

        shown.append(table(run, records, "predictions"))
        said = {item.question_id: item for item in read_predictions(run / "predictions/test.jsonl")}
        assert len(shown[-1]["data"]) == 25
        for row in shown[-1]["data"]:
            cells = dict(zip(shown[-1]["columns"], row, strict=True))
            item = said[cells["question_id"]]
            assert (cells["answer"], cells["score"]) == (item.answer, item.score)
            assert cells["right"] == item.choices[item.label]
            assert (cells["question"], cells["image_id"]) == (item.question, item.image_id)
    first, second = shown
    assert first["columns"] == second["columns"] == list(COLUMNS)
    assert [row[0] for row in first["data"]] == [row[0] for row in second["data"]]


def test_the_summary_has_every_figure_with_its_interval(two_runs) -> None:
    for run, records in two_runs:
        result = json.loads((run / "result.json").read_text())
        summary: dict[str, Any] = {}
        for one in of_kind(records, "summary"):
            summary |= one.get("update", {})
        assert summary["result/overall"] == pytest.approx(result["overall"])
        assert summary["result/n"] == result["n"] == 40
        for name in ("low", "high", "images"):
            shown = summary[f"result/interval/{name}"]
            assert shown == pytest.approx(result["interval"][name])
        kinds = result["per_question_type"]
        assert len(kinds) > 3
        for kind, figure in kinds.items():
            assert summary[f"result/per_question_type/{kind}"] == pytest.approx(figure)
            interval = result["intervals"]["per_question_type"][kind]
            for name in ("low", "high"):
                shown = summary[f"result/intervals/per_question_type/{kind}/{name}"]
                assert shown == pytest.approx(interval[name])


def test_store_and_model_are_artifacts_with_lineage(two_runs, scenes_store) -> None:
    fingerprint = Store.open(scenes_store).fingerprint
    used = []
    for run, records in two_runs:
        (store,) = artifacts(records, "dataset")
        assert store["name"] == f"store-{fingerprint[:12]}"
        assert store["use_after_commit"] is True
        assert json.loads(store["metadata"])["fingerprint"] == fingerprint
        (entry,) = store["manifest"]["contents"]
        assert entry["path"] == "store.json"
        assert int(entry["size"]) == (scenes_store / "store.json").stat().st_size
        used.append(store["digest"])

        (model,) = artifacts(records, "model")
        assert model["name"] == f"model-{(run / 'wandb_id').read_text().strip()}"
        assert "best" in model["aliases"]
        assert not model.get("use_after_commit")
        entries = {one["path"]: one for one in model["manifest"]["contents"]}
        assert set(entries) == {file.name for file in (run / "model").iterdir()}
        assert all(one["local_path"] == str(run / "model" / name) for name, one in entries.items())
        result, facts = json.loads((run / "result.json").read_text()), json.loads(model["metadata"])
        assert facts["overall"] == result["overall"]
        assert facts["best_step"] == result["training"]["best_step"]
        best = json.loads((run / "checkpoints" / "best.json").read_text())
        assert facts["checkpoint_sha256"] == best["sha256"]
    assert used[0] == used[1]  # one version of one artifact, used by both


def test_no_artifacts_where_none_are_wanted(written_run, records_of, experiment) -> None:
    from vqa.tracking.resend import resend

    run = written_run()
    (run / "experiment.yaml").write_text(experiment(tracking={"artifacts": False}).to_yaml())
    assert resend(run, mode="offline").message is None
    assert of_kind(records_of(run), "artifact") == []


def test_a_store_that_has_changed_is_not_named(written_run, records_of) -> None:
    from vqa.tracking.resend import resend

    run = written_run()
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "data_fingerprint": "other"}))
    sent = resend(run, mode="offline")
    assert sent.status == "offline"
    assert "the store has changed since the run" in str(sent.message)
    assert of_kind(records_of(run), "artifact") == []


IDS = st.lists(st.text(max_size=5), max_size=50, unique=True)


@given(IDS, st.integers(0, 60), st.randoms())
def test_the_same_questions_whatever_a_model_says(ids, count, random) -> None:
    def rows(answer: str) -> list[str]:
        items = [Prediction(one, "i", answer=answer, score=random.random()) for one in ids]
        random.shuffle(items)
        return [row[0] for row in joined_rows(items, count)]

    first = rows("yes")
    assert first == rows("no") == sorted(first)
    assert len(first) == min(count, len(ids))
    fewer = joined_rows([Prediction(one, "i") for one in ids], count // 2)
    assert {row[0] for row in fewer} <= set(first)
