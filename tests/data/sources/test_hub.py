"""The hub's sets by columns: folders in its layout, streamed; no code is run; no network is needed or waited for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.sources.tiny import good, rows_of, source_of
from vqa.cli import main
from vqa.data.record import BadRow
from vqa.data.sources import hub
from vqa.errors import DataError, DownloadError, InputError


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`datasets` keeps its caches in the test's folder and asks no network."""
    import datasets
    import huggingface_hub

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def hub_features(**kinds: dict[str, Any]) -> dict[bytes, bytes]:
    """What `datasets` writes into a Parquet file about its features."""
    return {b"huggingface": json.dumps({"info": {"features": kinds}}).encode()}


TEXT = {"dtype": "string", "_type": "Value"}
PICTURE = {"_type": "Image"}
YES_NO = {"names": ["no", "yes"], "_type": "ClassLabel"}


def folder(path: Path, png: Any, **splits: list[Any]) -> str:
    """A folder in the hub's layout; answers are classes, −1 where they are withheld."""
    for split, answers in splits.items():
        count = len(answers)
        table = pa.table(
            {
                "image": [{"bytes": png((k, 0, 0)), "path": None} for k in range(count)],
                "question": [f"is it {k}?" for k in range(count)],
                "answer": pa.array(answers, pa.int64()),
            }
        )
        kinds = hub_features(image=PICTURE, question=TEXT, answer=YES_NO)
        file = path / "data" / f"{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.replace_schema_metadata(kinds), file)
    return str(path)


def test_classes_give_their_names_and_validation_is_val(tmp_path: Path, png: Any) -> None:
    name = folder(tmp_path / "set", png, train=[0, 1], validation=[1], test=[0])
    rows = good(["hub", name])
    assert [row.example.split for row in rows] == ["train", "train", "val", "test"]
    assert [row.example.answers for row in rows] == [["no"], ["yes"], ["yes"], ["no"]]
    assert rows[0].image.data == png((0, 0, 0))
    assert rows[1].where == f"{tmp_path / 'set' / 'train'}, row 1"


def test_classes_and_short_numbers_in_lists_and_objects_are_as_they_were_written(
    tmp_path: Path,
) -> None:
    asked = {"kind": pa.array([1, 0, -1]), "size": pa.array([2.1, 0.3, 1.5], pa.float32())}
    table = pa.table(
        {
            "question": ["a?", "b?", "c?"],
            "answers": pa.array([[1, 0], [0, 0], [1, 1]]),
            "asked": pa.StructArray.from_arrays(list(asked.values()), list(asked)),
        }
    )
    number = {"dtype": "float32", "_type": "Value"}
    kinds = hub_features(
        question=TEXT,
        answers={"feature": YES_NO, "_type": "List"},
        asked={"kind": YES_NO, "size": number},
    )
    (tmp_path / "set").mkdir()
    pq.write_table(table.replace_schema_metadata(kinds), tmp_path / "set" / "train.parquet")
    words = ["hub", str(tmp_path / "set"), "--text-only"]
    words += ["--map", "question_type=asked.kind", "--map", "answer_type=asked.size"]
    examples = [row.example for row in good(words)]
    assert [(e.answers, e.question_type, e.answer_type) for e in examples] == [
        (["yes", "no"], "yes", "2.1"),
        (["no", "no"], "no", "0.3"),
        (["yes", "yes"], "", "1.5"),
    ]


def test_a_number_of_no_class_stays_a_number_and_a_missing_label_is_no_answer(
    tmp_path: Path,
) -> None:
    (tmp_path / "set").mkdir()
    for split, answers in {"train": [0, 2], "test": [-1, -1]}.items():
        table = pa.table({"question": ["a?", "b?"], "answer": answers})
        kinds = hub_features(question=TEXT, answer=YES_NO)
        pq.write_table(table.replace_schema_metadata(kinds), tmp_path / "set" / f"{split}.parquet")
    rows = good(["hub", str(tmp_path / "set"), "--text-only"])
    assert [row.example.answers for row in rows] == [["no"], ["2"], [], []]


def test_text_alone_needs_no_column_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    columns = {"question": ["what?", "who?"], "answer": ["a dog", "a cat"]}
    pq.write_table(pa.table(columns), tmp_path / "set" / "train.parquet")
    rows = good(["hub", str(tmp_path / "set"), "--text-only"])
    assert [row.example.answers for row in rows] == [["a dog"], ["a cat"]]


def test_short_numbers_stand_as_they_were_written(tmp_path: Path) -> None:
    columns = {"image": ["a.png"], "question": ["what?"], "answer": pa.array([2.1], pa.float32())}
    (tmp_path / "set").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "set" / "train.parquet")
    (row,) = good(["hub", str(tmp_path / "set"), "--text-only"])
    assert row.example.answers == ["2.1"]


def test_splits_and_a_number_of_records_can_be_chosen(tmp_path: Path, png: Any) -> None:
    name = folder(tmp_path / "set", png, train=[0, 1, 0, 1], test=[1, 1])
    rows = good(["hub", name, "--split", "train", "--limit", "3"])
    assert len(rows) == 3
    assert {row.example.split for row in rows} == {"train"}
    with pytest.raises(InputError, match=r"no split 'tain' — did you mean 'train'"):
        source_of(["hub", name, "--split", "tain"])
    with pytest.raises(InputError, match="1 or more"):
        source_of(["hub", name, "--limit", "0"])


def test_no_more_is_read_than_is_asked_for(tmp_path: Path, png: Any) -> None:
    name = folder(tmp_path / "set", png, train=[0, 1, 0, 1])
    (made,) = hub.open_hub(name, limit=2)
    read = []

    class Counting:
        features = None
        column_names = ("question",)

        def __iter__(self) -> Any:
            for k in range(1000):
                read.append(k)
                yield {"question": f"{k}?"}

    assert made.opened is not None
    split = hub.HubSplit(made.path, Counting(), 2)  # type: ignore[arg-type]
    assert [place for place, _ in split.records()] == ["row 0", "row 1"]
    assert read == [0, 1]


def test_columns_are_mapped_as_for_a_table(tmp_path: Path) -> None:
    lines = [{"pic": "a.png", "ask": "what?", "say": ["red", "red"], "n": k} for k in range(2)]
    (tmp_path / "set").mkdir()
    file = tmp_path / "set" / "train.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    words = ["hub", str(tmp_path / "set"), "--map", "question=ask", "--map", "answers=say"]
    rows = good([*words, "--map", "image=pic", "--map", "question_id=n", "--text-only"])
    assert [row.example.question_id for row in rows] == ["0", "1"]
    assert rows[0].example.answers == ["red", "red"]
    with pytest.raises(DataError, match=r"no column for the question .*--map question=COLUMN"):
        source_of(["hub", str(tmp_path / "set")])


def test_a_split_without_answers_becomes_a_store(tmp_path: Path, png: Any, capsys: Any) -> None:
    name = folder(tmp_path / "set", png, train=[0, 1])
    table = pa.table({"image": [{"bytes": png(), "path": None}], "question": ["is it?"]})
    kinds = hub_features(image=PICTURE, question=TEXT)
    (tmp_path / "other").mkdir()
    pq.write_table(table.replace_schema_metadata(kinds), tmp_path / "other" / "test.parquet")
    for at, words in enumerate(([name], [str(tmp_path / "other")])):
        assert main(["prepare", "hub", *words, "--to", str(tmp_path / f"s{at}"), "--json"]) == 0
    told = capsys.readouterr()
    assert "no column for answers" in told.err
    assert '"test": 1' in told.out


def test_a_picture_outside_the_folder_is_refused(tmp_path: Path, png: Any) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    paths = [
        "../secret.png",
        str(tmp_path / "secret.png"),
        "hf://datasets/a/b/c.png",
        "file:///etc/x",
    ]
    table = pa.table(
        {
            "image": [{"bytes": None, "path": path} for path in paths],
            "question": ["?"] * len(paths),
            "answer": ["a"] * len(paths),
        },
        schema=pa.schema(
            [
                ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
                ("question", pa.string()),
                ("answer", pa.string()),
            ]
        ),
    )
    kinds = hub_features(image=PICTURE, question=TEXT, answer=TEXT)
    (tmp_path / "set").mkdir()
    pq.write_table(table.replace_schema_metadata(kinds), tmp_path / "set" / "train.parquet")
    with pytest.raises(DataError) as caught:
        main_prepare(tmp_path)
    said = str(caught.value)
    assert (
        said.count(
            "leads out of the image folder — put the file itself into the folder (and 1 more)"
        )
        == 1
    )
    assert said.count("web address") == 2
    assert "`hf download a/b --repo-type dataset --local-dir DIR`, then `vqa prepare hub" in said


def main_prepare(tmp_path: Path) -> None:
    from vqa.data.prepare import prepare

    prepare(source_of(["hub", str(tmp_path / "set")]), tmp_path / "store")


def test_no_code_of_a_data_set_is_run(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    ran = tmp_path / "ran"
    (tmp_path / "set" / "set.py").write_text(f"open({str(ran)!r}, 'w')")
    with pytest.raises(InputError, match="scripts are no longer supported"):
        source_of(["hub", str(tmp_path / "set")])
    assert not ran.exists()


def test_what_is_not_there_is_bad_input_and_no_network_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set here"):
        source_of(["hub", str(tmp_path / "nothing")])
    with pytest.raises(DownloadError, match=r"nobody/nothing: the hub cannot be reached") as caught:
        source_of(["hub", "nobody/nothing"])
    assert caught.value.exit_code == 1
    assert "HF_ENDPOINT" in str(caught.value)


def test_a_file_is_for_the_source_table(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "is it?", "answer": "yes"}\n')
    with pytest.raises(InputError, match="this is a file — read it with: vqa prepare table "):
        source_of(["hub", str(tmp_path / "a.jsonl")])


def test_a_damaged_file_is_named(tmp_path: Path, png: Any) -> None:
    name = folder(tmp_path / "set", png, train=[0, 1])
    source = source_of(["hub", name])
    (file,) = (tmp_path / "set" / "data").iterdir()
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises((DataError, DownloadError), match="train"):
        list(source.rows())
    shutil.rmtree(tmp_path / "set")


def saved(path: Path, png: Any, *splits: str) -> str:
    """What `save_to_disk` writes of these splits, one question each."""
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value

    kinds = Features(
        image=Image(), question=Value("string"), answer=ClassLabel(names=["no", "yes"])
    )
    row = {"image": {"bytes": png((9, 0, 0)), "path": None}, "answer": 1}
    rows = [row | {"question": f"is it {split}?"} for split in splits]
    parts = [Dataset.from_list([row], features=kinds) for row in rows]
    DatasetDict(dict(zip(splits, parts, strict=True))).save_to_disk(str(path))
    return str(path)


def test_every_split_that_save_to_disk_wrote_is_read_whatever_its_name(
    tmp_path: Path, png: Any
) -> None:
    name = saved(tmp_path / "set", png, "fit", "dev", "validation")
    examples = [row.example for row in good(["hub", name])]
    assert [(e.split, e.question, e.answers) for e in examples] == [
        ("fit", "is it fit?", ["yes"]),
        ("dev", "is it dev?", ["yes"]),
        ("val", "is it validation?", ["yes"]),
    ]
    (one,) = good(["hub", str(tmp_path / "set" / "dev")])
    assert (one.example.split, one.example.question) == ("train", "is it dev?")


def test_what_save_to_disk_wrote_has_no_subsets_and_may_be_damaged(
    tmp_path: Path, png: Any
) -> None:
    name = saved(tmp_path / "set", png, "fit")
    with pytest.raises(InputError, match="no subsets: save_to_disk"):
        source_of(["hub", name, "--config", "en"])
    (file,) = (tmp_path / "set" / "fit").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:400])
    with pytest.raises(DataError, match=r"set: damaged \(.*get the data set again"):
        source_of(["hub", name])


def test_junk_in_a_column_is_reported(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    lines = [
        {"image": 1, "question": "a?", "answer": "x"},
        {"image": 2, "question": None, "answer": "x"},
    ]
    (tmp_path / "set" / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    fine, bad = rows_of(["hub", str(tmp_path / "set"), "--text-only"])
    assert not isinstance(fine, BadRow)
    assert isinstance(bad, BadRow)
    assert "no question" in bad.reason


def test_a_picture_is_called_by_its_place_in_the_folder_wherever_that_lies(tmp_path: Path) -> None:
    class Stream:
        features = None
        column_names = ("image",)

        def __iter__(self) -> Any:
            for folder in (tmp_path / "set", tmp_path / "elsewhere"):
                yield {"image": {"bytes": None, "path": str(folder / "train" / "0.png")}}

    split = hub.HubSplit(tmp_path / "set" / "train", Stream())  # type: ignore[arg-type]
    paths = [record["image"]["path"] for _, record in split.records()]  # type: ignore[index]
    assert paths == ["train/0.png", str(tmp_path / "elsewhere" / "train" / "0.png")]


@pytest.mark.parametrize(("images", "name"), [(".", "set/train/0.png"), ("set/train", "0.png")])
def test_a_picture_of_a_folder_is_found_where_another_one_is_named_for_images(
    tmp_path: Path, png: Any, images: str, name: str
) -> None:
    train = tmp_path / "set" / "train"
    train.mkdir(parents=True)
    (train / "0.png").write_bytes(png((0, 0, 0)))
    record = {"file_name": "0.png", "question": "what?", "answer": "red"}
    (train / "metadata.jsonl").write_text(json.dumps(record))
    (row,) = good(["hub", str(tmp_path / "set"), "--images", str(tmp_path / images)])
    assert row.example.image_id == name
    assert row.image.path is not None
    assert row.image.path.samefile(train / "0.png")


def test_a_column_of_splits_is_read_where_the_user_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set").mkdir()
    lines = "image,question,answer,split\na.png,what?,red,train\nb.png,who?,ann,test\n"
    (tmp_path / "set" / "data.csv").write_text(lines)
    words = ["hub", str(tmp_path / "set"), "--text-only"]
    assert [row.example.split for row in good(words)] == ["train", "train"]
    assert (
        "its column of splits is not read (--map split=COLUMN to change)" in capsys.readouterr().err
    )
    assert [r.example.split for r in good(words, "--map", "split=split")] == ["train", "test"]
    assert "not read" not in capsys.readouterr().err
