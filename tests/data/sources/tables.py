"""Small tables of every kind of file, and the table source on them."""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq

from tests.data.sources.tiny import source_of

RECORDS = [
    {"image": "a.png", "question": "What?", "answer": "dog"},
    {"image": "b.png", "question": "Who, then?", "answer": "a man"},
]


def source(*arguments):
    """The source that stands after `vqa prepare table`."""
    return source_of(["table", *map(str, arguments)])


def read(*arguments):
    return list(source(*arguments).rows())


def write_json(path, records):
    path.write_text(json.dumps(records))
    return path


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def write_csv(path, records, delimiter=","):
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(records[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(records)
    return path


def write_parquet(path, records):
    pq.write_table(pa.Table.from_pylist(records), path)
    return path
