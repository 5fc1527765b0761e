"""What comes from another machine is a model's plain files, or refused."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vqa.config import Experiment
from vqa.errors import ModelError
from vqa.jobs.parcel import MOST_PARTS, Parcel, Part, pack, unpack


def tar(file: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(file, "w") as out:
        for info, content in members:
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return file


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside"),
        member("/etc/passwd"),
        member("a/b/c"),
        member(".hidden"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("model.json", tarfile.LNKTYPE, "../../outside"),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda info: info.name,
)
def test_nothing_but_plain_files_with_plain_names(bad: tarfile.TarInfo, tmp_path: Path) -> None:
    file = tar(tmp_path / "x.tar", (member("model.json"), b"{}"), (bad, b""))
    with pytest.raises(ModelError, match="what came is no model"):
        unpack(file, tmp_path / "inner" / "model")
    assert [path.name for path in tmp_path.rglob("*")] == ["x.tar"]


def test_too_many_files_and_what_is_no_tar(tmp_path: Path) -> None:
    many = [(member(f"f{number}"), b"") for number in range(MOST_PARTS + 1)]
    with pytest.raises(ModelError, match="larger than it can be"):
        unpack(tar(tmp_path / "many.tar", *many), tmp_path / "model")
    (tmp_path / "text").write_bytes(b"no tar" * 1000)
    with pytest.raises(ModelError, match="what came is no model"):
        unpack(tmp_path / "text", tmp_path / "model")
    packed = tar(tmp_path / "a.tar", (member("model.json"), b"x" * 9999)).read_bytes()
    (tmp_path / "cut.tar").write_bytes(packed[:5000])
    with pytest.raises(ModelError, match="what came is no model"):
        unpack(tmp_path / "cut.tar", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_file_that_is_cut_off_while_it_is_sent_breaks_the_stream(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"x" * 100)
    pieces = Parcel((Part(b"", 200, tmp_path / "weights"),)).pieces()
    with pytest.raises(OSError, match="weights was cut off"):
        list(pieces)


def test_files_come_with_the_modes_that_new_ones_have_here(tmp_path: Path) -> None:
    file, before = tar(tmp_path / "x.tar", (member("model.json"), b"{}")), os.umask(0o027)
    try:
        unpack(file, tmp_path / "model")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in sorted(tmp_path.glob("model/**/*"))]
    assert modes == [0o640]
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o750


@pytest.mark.parametrize("time", ["nan", "1e300"])
def test_a_time_that_is_none_is_refused(time: str, tmp_path: Path) -> None:
    info = member("model.json")
    info.pax_headers = {"mtime": time}
    with pytest.raises(ModelError, match="what came is no model"):
        unpack(tar(tmp_path / "x.tar", (info, b"{}")), tmp_path / "model")


def test_nothing_but_a_model_s_files_is_sent(
    experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "experiment.yaml").write_text(experiment().to_yaml())
    (folder / "weights").write_bytes(b"w" * 600)
    (tmp_path / "secret").write_text("token")
    vouched = dict.fromkeys(("weights", "../secret", str(tmp_path / "secret")), "")
    (folder / "model.json").write_text(json.dumps({"sha256": vouched}))
    parcel = pack(folder, lambda fields: fields)
    sent = b"".join(parcel.pieces())
    assert len(sent) == parcel.size
    with tarfile.open(fileobj=io.BytesIO(sent)) as tar:
        assert sorted(tar.getnames()) == ["experiment.yaml", "model.json", "weights"]
