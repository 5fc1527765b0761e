"""Runs that learn from regions: the same resident or streamed, bound to what they learnt from, refused without."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vqa
from tests.data.regions.made import DIM, Made, detect_all, write_npz, write_tsv
from tests.training.test_pictures import no_picture, plan, said
from tests.training.test_resume import Death, assert_same, die_at
from vqa.cli import main
from vqa.config import Experiment
from vqa.data.cache import pictures as decoding
from vqa.data.cache.place import cached
from vqa.data.cache.regions import regions_at
from vqa.data.cache.rows import ROWS
from vqa.data.prepare import prepare
from vqa.data.sources.scenes import Scenes
from vqa.data.store import Store
from vqa.errors import ConfigError, DataError, ModelError, RunError
from vqa.evaluation.report_pictures import SIDE, report_pictures
from vqa.tracking.samples import write_samples
from vqa.training.run import train

Make = Callable[..., Experiment]
ENCODER = {"name": "regions", "count": 4, "dim": DIM, "boxes": True}
ATTENTION = {"name": "soft", "glimpses": 2, "hidden": 8}


def found(path: Path, seed: int = 0) -> list[Made]:
    store = Store.open(path)
    return detect_all(store.images.data.column("image_id").to_pylist(), seed=seed)


def bring(path: Path, *inputs: Path, options: tuple[str, ...] = ()) -> int:
    words = ["prepare", "regions", path, *inputs, "--count", 4, "--dim", DIM, *options]
    return main([str(word) for word in words])


@pytest.fixture
def bare(scenes_store: Path, tmp_path: Path) -> Path:
    """A store without regions."""
    shutil.copytree(scenes_store, tmp_path / "store", ignore=shutil.ignore_patterns("cache"))
    return tmp_path / "store"


@pytest.fixture
def store(bare: Path, tmp_path: Path) -> Path:
    """A store with the regions of every picture."""
    assert bring(bare, write_tsv(tmp_path / "found.tsv", found(bare))) == 0
    return bare


@pytest.fixture
def make(experiment: Make, bare: Path) -> Make:
    """Experiments that read regions of that store."""

    def made(encoder: dict[str, Any] = ENCODER, **data: Any) -> Experiment:
        trainer = {"max_epochs": 2, "accelerator": "cpu", "checkpoint_every_n_steps": 2}
        model = {"image_encoder": encoder, "attention": data.pop("attention", ATTENTION)}
        return experiment(data={"store": str(bare), **data}, model=model, trainer=trainer)

    return made


def test_resident_or_streamed_is_the_same_to_the_last_bit(
    make: Make, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamed with threads ahead, killed on its way and resumed; against resident and undisturbed."""
    monkeypatch.setattr(decoding, "decode_image", no_picture)
    train(make(resident="always"), tmp_path / "resident")
    assert all(one["resident"] for one in plan(tmp_path / "resident")["splits"])
    assert plan(tmp_path / "resident")["what"] == "regions 4×11 float16"
    streamed = make(resident="never", workers=3)
    with monkeypatch.context() as patch:
        die_at(8, patch)
        with pytest.raises(Death):
            train(streamed, tmp_path / "streamed")
    train(streamed, tmp_path / "streamed")
    assert not any(one["resident"] for one in plan(tmp_path / "streamed")["splits"])
    assert_same(tmp_path / "resident", tmp_path / "streamed")
    assert [one.kind for one in cached(Store.open(store)) if one.path.is_dir()] == ["regions"]


def test_what_is_learnt_is_what_was_brought_in(make: Make, store: Path, tmp_path: Path) -> None:
    """Asking with the regions of a picture, from the store or a file, is what evaluation said of it."""
    train(make(), tmp_path / "run")
    model, opened = vqa.load(tmp_path / "run"), Store.open(store)
    by_id = {one.image_id: one for one in found(store)}
    rows = opened.image_rows[opened.rows("test")]
    for one, row in list(zip(said(tmp_path / "run"), rows, strict=True))[:8]:
        image = opened.image_bytes(int(row))
        kept = regions_at(opened, model.experiment, int(row))
        file = write_tsv(tmp_path / "one.tsv", [by_id[one.image_id]])
        for regions in (kept, file):
            asked = model.ask(image, one.question, choices=one.choices, regions=regions)
            assert asked.confidence == pytest.approx(one.confidence, abs=1e-5)
            assert asked.attention is not None
            assert asked.attention.shape == (2, 48, 48)


@pytest.mark.parametrize(
    ("encoder", "options"),
    [
        ({**ENCODER, "boxes": False}, ()),
        ({**ENCODER, "boxes": False, "normalize": True}, ("--no-boxes",)),
        ({**ENCODER, "source": "mine"}, ("--source", "mine", "--dtype", "bfloat16")),
    ],
)
def test_forms_of_regions(
    make: Make, bare: Path, tmp_path: Path, encoder: dict[str, Any], options: tuple[str, ...]
) -> None:
    assert bring(bare, write_npz(tmp_path / "npz", found(bare)), options=options) == 0
    train(make(encoder, group_by_image=True), tmp_path / "run")
    model, opened = vqa.load(tmp_path / "run"), Store.open(bare)
    assert model.network.image_encoder.dim == DIM + 6 * encoder["boxes"]
    asked = model.ask(
        opened.image_bytes(0),
        "what?",
        ["red", "blue"],
        regions=regions_at(opened, model.experiment, 0),
    )
    assert (asked.attention is None) == ("--no-boxes" in options)


def test_every_attention_but_film(make: Make, store: Path, tmp_path: Path) -> None:
    for name in ("multi_head", "co_attention", {"name": "none", "pool": "flatten"}):
        attention = {"name": name, "dim": 8, "heads": 2} if name == "multi_head" else name
        run = tmp_path / str(name if isinstance(name, str) else "flat")
        assert train(make(attention=attention), run).status == "succeeded"


def test_pictures_are_not_needed(experiment: Make, tmp_path: Path) -> None:
    source = Scenes({"train": 40, "val": 10, "test": 10}, questions_per_image=4)
    prepare(source, tmp_path / "text", name="scenes", text_only=True)
    assert bring(tmp_path / "text", write_tsv(tmp_path / "f.tsv", found(tmp_path / "text"))) == 0
    made = experiment(data={"store": str(tmp_path / "text")}, model={"image_encoder": ENCODER})
    assert train(made, tmp_path / "run").status == "succeeded"


def test_without_regions_nothing_is_begun(make: Make, bare: Path, tmp_path: Path) -> None:
    command = f"vqa prepare regions {bare} FILE… --count 4 --dim 5 --source bottom-up"
    with pytest.raises(
        DataError, match="no regions 'bottom-up' of 4×5 with boxes; there are none"
    ) as caught:
        train(make(), tmp_path / "run")
    assert command in str(caught.value)
    some = write_tsv(tmp_path / "some.tsv", found(bare)[:50])
    assert bring(bare, some) == 2
    with pytest.raises(
        DataError, match=r"10 of 60 pictures have no regions .*'test-000000', 'test-000001'"
    ) as caught:
        train(make(), tmp_path / "run")
    assert command in str(caught.value)
    with pytest.raises(
        DataError, match="of 5×5 with boxes; there are bottom-up: 50 of 60 rows of 4×11"
    ):
        train(make({**ENCODER, "count": 5}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    split = make().model_copy(
        update={"evaluation": make().evaluation.model_copy(update={"split": "val"})}
    )
    assert train(split, tmp_path / "run").status == "succeeded"  # nobody looks at the test split
    assert main(["evaluate", str(tmp_path / "run"), "--split", "val"]) == 0
    assert main(["evaluate", str(tmp_path / "run"), "--split", "test"]) == 2


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"features": "off"}, "data.features"),
        ({"augmentation": {"shift": 1}}, "data.augmentation"),
        ({"resize": "crop"}, "data.resize"),
    ],
)
def test_settings_of_pictures_are_refused(
    make: Make, store: Path, tmp_path: Path, data: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=rf"{says}: .*regions looks at no picture"):
        train(make(**data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"attention": "film"}, "film convolves over a grid"),
        ({"attention": "conv_gru"}, "conv_gru convolves over a grid"),
        ({"coordinates": True}, "coordinates: regions stand on no grid"),
        ({"octaves": 2}, "octaves: regions stand on no grid"),
    ],
)
def test_what_needs_a_grid_is_refused(experiment: Make, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        experiment(model={"image_encoder": ENCODER, **fields})


def test_a_run_is_bound_to_its_regions(
    make: Make,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(make(), tmp_path / "done")
    with monkeypatch.context() as patch:
        die_at(8, patch)
        with pytest.raises(Death):
            train(make(), tmp_path / "dead")
    others = write_tsv(tmp_path / "others.tsv", found(store, seed=1))
    assert bring(store, others, options=("--overwrite",)) == 0
    with pytest.raises(RunError, match="the regions have changed since this run began"):
        train(make(), tmp_path / "dead")
    assert main(["evaluate", str(tmp_path / "done")]) == 2
    assert "not the regions that the model learnt from" in capsys.readouterr().err
    assert bring(store, tmp_path / "found.tsv", options=("--overwrite",)) == 0
    train(make(), tmp_path / "dead")
    assert_same(tmp_path / "done", tmp_path / "dead")
    assert main(["evaluate", str(tmp_path / "done"), "--split", "val"]) == 0
    assert main(["compare", str(tmp_path / "done"), str(tmp_path / "dead")]) == 0


def test_damaged_regions_are_brought_in_again(make: Make, store: Path, tmp_path: Path) -> None:
    [folder] = (store / "cache").glob("regions-*")
    with (folder / ROWS).open("r+b") as file:
        file.seek(3 * 4 * 11 * 2 + 5)
        file.write(b"\xff\x7f")
    with pytest.raises(DataError, match=r"1 rows are damaged .* — bring them in again"):
        train(make(), tmp_path / "run")
    with pytest.raises(DataError, match=r"1 of 60 pictures have no regions .*'train-000003'"):
        train(make(), tmp_path / "again")
    assert bring(store, tmp_path / "found.tsv") == 0
    assert train(make(), tmp_path / "run").status == "succeeded"


def test_a_cut_file_is_told(make: Make, store: Path, tmp_path: Path) -> None:
    [folder] = (store / "cache").glob("regions-*")
    with (folder / ROWS).open("r+b") as file:
        file.truncate(40)
    with pytest.raises(DataError, match="cut off or cannot be read"):
        train(make(), tmp_path / "run")
    assert bring(store, tmp_path / "found.tsv") == 0
    assert train(make(), tmp_path / "run").status == "succeeded"


def test_asking_without_regions(
    make: Make, experiment: Make, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(make(), tmp_path / "run")
    image = tmp_path / "p.png"
    image.write_bytes(Store.open(store).image_bytes(0))
    model, question = vqa.load(tmp_path / "run"), ("what?", ["red", "blue"])
    with pytest.raises(ModelError, match=r"no detector is part of this program — .*--regions FILE"):
        model.ask(image, *question)
    with pytest.raises(ModelError, match="regions of 3×11, and the model reads 4×11"):
        model.ask(image, *question, regions=torch.zeros(3, 11))
    with pytest.raises(DataError, match="image: not a PNG"):
        model.ask(b"text", *question, regions=torch.zeros(4, 11))
    words = [
        "ask",
        str(tmp_path / "run"),
        str(image),
        "what?",
        "--choice",
        "red",
        "--choice",
        "blue",
    ]
    assert main(words) == 2
    assert "--regions FILE" in capsys.readouterr().err
    write_npz(tmp_path / "one", found(store)[:1])
    [file] = (tmp_path / "one").iterdir()
    drawn = tmp_path / "map.png"
    assert main([*words, "--regions", str(file), "--attention", str(drawn)]) == 0
    assert drawn.read_bytes().startswith(b"\x89PNG")
    train(experiment(data={"store": str(store)}), tmp_path / "seeing")
    assert main(["ask", str(tmp_path / "seeing"), *words[2:], "--regions", str(file)]) == 2
    assert "reads pictures, not regions" in capsys.readouterr().err


def test_attention_is_drawn_on_pages(make: Make, store: Path, tmp_path: Path) -> None:
    train(make(), tmp_path / "run")
    model, opened = vqa.load(tmp_path / "run"), Store.open(store)
    predictions = said(tmp_path / "run")
    folder = write_samples(tmp_path / "run", model, opened, predictions, 2)
    assert len(list(folder.glob("*-attention-2.png"))) == 2
    page = report_pictures(model, opened, "test")(predictions[0])
    assert page is not None
    shown = Image.open(io.BytesIO(base64.b64decode(page.removeprefix("data:image/jpeg;base64,"))))
    assert shown.width > SIDE  # the picture, and a map beside it


def test_the_export_answers_alone(make: Make, store: Path, tmp_path: Path) -> None:
    train(make(), tmp_path / "run")
    assert main(["export", str(tmp_path / "run"), "--to", str(tmp_path / "model")]) == 0
    image, row = Store.open(store).image_bytes(0), regions_at(Store.open(store), make(), 0)
    shutil.rmtree(store)
    one, other = (
        vqa.load(tmp_path / name).ask(image, "what?", ["red", "blue"], regions=row)
        for name in ("run", "model")
    )
    assert one.top == other.top
    assert np.array_equal(np.asarray(one.attention), np.asarray(other.attention))
    manifest = json.loads((tmp_path / "model" / "model.json").read_text())
    assert len(manifest["regions_fingerprint"]) == 64
