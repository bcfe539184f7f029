"""Changes files that are no text (Parquet, Excel, safetensors, SQLite, GGUF) so that their inside changes too, by a seed."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import sqlite3
import struct
import tempfile
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import pyarrow
from pyarrow import parquet

from fuzz import mutate

_TYPES: tuple[Any, ...] = (
    pyarrow.int8(),
    pyarrow.uint64(),
    pyarrow.float16(),
    pyarrow.float32(),
    pyarrow.float64(),
    pyarrow.bool_(),
    pyarrow.date32(),
    pyarrow.date64(),
    pyarrow.timestamp("s"),
    pyarrow.timestamp("us", "UTC"),
    pyarrow.timestamp("ns"),
    pyarrow.timestamp("ms", "+99:99"),
    pyarrow.timestamp("s", "Nowhere/Land"),
    pyarrow.time32("s"),
    pyarrow.time64("ns"),
    pyarrow.duration("us"),
    pyarrow.duration("ns"),
    pyarrow.decimal128(38, 4),
    pyarrow.decimal256(76, 0),
    pyarrow.string(),
    pyarrow.large_string(),
    pyarrow.binary(),
    pyarrow.binary(4),
    pyarrow.list_(pyarrow.string()),
    pyarrow.list_(pyarrow.date32()),
    pyarrow.struct([("text", pyarrow.list_(pyarrow.string()))]),
    pyarrow.map_(pyarrow.string(), pyarrow.int64()),
    pyarrow.null(),
    pyarrow.list_(pyarrow.timestamp("s")),
    pyarrow.struct([("at", pyarrow.timestamp("s"))]),
)
_NUMBERS = (0, 1, -1, 2**31 - 1, -(2**31), 2**62, -(2**62), 10**11, 10**14)


def table(rng: Random) -> bytes:
    """A Parquet file of input and target, one or two columns of a type that few have, and now and then of other names."""
    count = rng.choice((1, 4, 12, 40))
    columns: dict[str, Any] = {
        "input": pyarrow.array([f"question {n}" for n in range(count)]),
        "target": pyarrow.array([f"answer {n % 3}" for n in range(count)]),
    }
    for name in rng.sample(
        ["other", "input", "target", "", " input", "text", "choices", "\x00"], rng.choice((1, 1, 2))
    ):
        columns[name] = _column(rng.choice(_TYPES), count, rng)
    stream = io.BytesIO()
    names = list(columns) if rng.random() < 0.95 else ["input"] * len(columns)
    parquet.write_table(
        pyarrow.Table.from_arrays(list(columns.values()), names=names),
        stream,
        compression=rng.choice(("none", "snappy", "gzip", "zstd")),
    )
    return stream.getvalue()


def _column(kind: Any, count: int, rng: Random) -> Any:
    """Values of a type, those at its ends among them; text that is no text, and no value, where the type has neither."""
    if pyarrow.types.is_string(kind) and rng.random() < 0.5:
        return pyarrow.array(
            [rng.choice((b"\xff\xfe", b"\xed\xa0\x80", b"x")) for _ in range(count)], pyarrow.binary()
        ).view(kind)
    for wide in (pyarrow.int64(), pyarrow.int32()):
        try:
            return pyarrow.array(
                [
                    rng.choice(_NUMBERS) % 2**31 if wide == pyarrow.int32() else rng.choice(_NUMBERS)
                    for _ in range(count)
                ],
                wide,
            ).view(kind)
        except (pyarrow.ArrowException, ValueError, OverflowError, NotImplementedError):
            continue
    known: dict[Any, list[Any]] = {
        pyarrow.list_(pyarrow.string()): [["a", "b"], [], None, [""], ["a", None]],
        pyarrow.struct([("text", pyarrow.list_(pyarrow.string()))]): [
            {"text": ["a"]},
            {"text": []},
            {"text": None},
            None,
        ],
        pyarrow.map_(pyarrow.string(), pyarrow.int64()): [[("a", 1)], [], None],
        pyarrow.struct([("at", pyarrow.timestamp("s"))]): [{"at": datetime.datetime(2020, 1, 1)}, None],
        pyarrow.decimal128(38, 4): [decimal.Decimal("1.5"), None],
        pyarrow.binary(): [b"\xff", b"", None],
    }
    values = known.get(kind, [None])
    array = pyarrow.array([rng.choice(values) for _ in range(count)], kind)
    if kind in (pyarrow.list_(pyarrow.timestamp("s")), pyarrow.list_(pyarrow.date32())):
        inner = pyarrow.array(
            [2**30 if kind.value_type == pyarrow.date32() else 2**60] * count,
            pyarrow.int32() if kind.value_type == pyarrow.date32() else pyarrow.int64(),
        )
        return pyarrow.ListArray.from_arrays(
            pyarrow.array(range(count + 1), pyarrow.int32()), inner.view(kind.value_type)
        )
    return array


def parquet_file(content: bytes, rng: Random) -> bytes:
    """Another table, or the bytes changed."""
    return table(rng) if rng.random() < 0.5 else mutate.raw(content, rng)


def zipped(content: bytes, rng: Random) -> bytes:
    """One member of a zip file changed, and packed again; or the file itself."""
    if rng.random() < 0.3:
        return mutate.raw(content, rng)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            members = {name: packed.read(name) for name in packed.namelist()}
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        return mutate.raw(content, rng)
    name = rng.choice(list(members))
    if rng.random() < 0.1:
        del members[name]
    else:
        members[name] = mutate.mutated(members[name], name if name.endswith(".xml") else name + ".xml", rng)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for member, inside in members.items():
            packed.writestr(member, inside)
    return stream.getvalue()


def tensors(content: bytes, rng: Random) -> bytes:
    """The header of a safetensors file changed, with its size set right; or the bytes."""
    if rng.random() < 0.4 or len(content) < 8:
        return mutate.raw(content, rng)
    (size,) = struct.unpack("<Q", content[:8])
    try:
        header = json.loads(content[8 : 8 + size])
        about = header.get("__metadata__", {})
        if "state" in about and rng.random() < 0.7:
            about["state"] = mutate.written(mutate.json_value(json.loads(about["state"]), rng)).decode()
            head = json.dumps(header).encode()
        else:
            head = mutate.written(mutate.json_value(header, rng))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return mutate.raw(content, rng)
    data = bytearray(content[8 + size :])
    if data and rng.random() < 0.3:
        at = rng.randrange(max(1, len(data) - 4))
        data[at : at + 4] = rng.choice((b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\xff\xff\xff\xff"))
    return struct.pack("<Q", len(head)) + head + bytes(data)


_SQL = (
    "CREATE VIEW v AS WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT x AS Name, x AS Town FROM t",
    "DROP TABLE Seller; CREATE VIEW Seller AS WITH RECURSIVE t(x) AS (SELECT 'a' UNION ALL SELECT x || 'a' FROM t) "
    "SELECT x AS Name, x AS Town FROM t",
    "DROP TABLE Seller; CREATE VIEW Seller AS WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) "
    "SELECT 'n' || x AS Name, 'a' AS Town FROM t",
    "DROP TABLE Seller; CREATE VIEW Seller AS SELECT randomblob(900000000) AS Name, zeroblob(900000000) AS Town",
    "DROP TABLE Seller; CREATE VIEW Seller AS SELECT hex(zeroblob(400000000)) AS Name, printf('%.*c', 900000000, 'x') AS Town",
    "UPDATE Seller SET Name = CAST(x'ff80c0' AS TEXT)",
    "UPDATE Seller SET Town = CAST(x'eda080' AS TEXT)",
    "UPDATE Item SET Price = 9e999",
    "UPDATE Seller SET Name = NULL",
    "UPDATE Seller SET Name = x'00'",
    "UPDATE Seller SET Name = char(0)",
    "DROP TABLE Item",
    "DROP TABLE Seller; CREATE TABLE Seller (Name)",
    "DROP TABLE Seller; CREATE VIEW Seller AS SELECT * FROM nowhere",
    "PRAGMA encoding = 'UTF-16'",
    "DROP TABLE Seller; CREATE TABLE Seller (Name AS (abs(-9223372036854775808)), Town)",
)


def base(content: bytes, rng: Random) -> bytes:
    """An SQLite database after an odd statement, or with its bytes changed."""
    if rng.random() < 0.6:
        return mutate.raw(content, rng)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base.sqlite"
        path.write_bytes(content)
        try:
            connection = sqlite3.connect(path)
            try:
                connection.executescript(rng.choice(_SQL))
            finally:
                connection.close()
        except sqlite3.Error:
            return mutate.raw(content, rng)
        return path.read_bytes()


mutate.KINDS.update({".parquet": parquet_file, ".xlsx": zipped, ".safetensors": tensors, ".sqlite": base})
