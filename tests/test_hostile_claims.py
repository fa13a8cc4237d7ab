"""Files that claim more than they hold, or unpack to more than anyone wants: refused before memory or disk is used."""

import gzip
import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hostile import CARD, CONFIG, KINDS, SIZES, reseal_pair, reseal_store
from safetensors.torch import save

from molmv import textfile, unpacking
from molmv.arrow_file import read_arrow
from molmv.cards import read_card
from molmv.distill.config import read_config
from molmv.embeddings import EmbeddingStore
from molmv.errors import CardError, CheckpointError, ConfigError, InputError, MolmvError, OutputError, StoreError
from molmv.evaluate.labels import read_table
from molmv.npz import Npz
from molmv.parts import Parts
from molmv.predicting.heads import Forest
from molmv.results import load_embeddings
from molmv.student.embed import Student
from molmv.student.heads import Heads
from molmv.table import open_table
from molmv.vector_files import read_vectors

TRILLION = 10**12
MIB = 1 << 20


@contextmanager
def little_memory(most: int = 32 * MIB) -> Iterator[None]:
    """Fails if more was ever in use at once, by what Python and NumPy count."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak / MIB:.0f} MiB"


def npy(shape: tuple[int, ...], descr: str = "<f4", data: bytes = b"", head: str | None = None) -> bytes:
    """An npy with any claim."""
    text = (head or repr({"descr": descr, "fortran_order": False, "shape": shape})).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


CLAIMS = {
    "huge": npy((TRILLION, 3)),
    "huge in two": npy((10**6, 10**6)),
    "negative": npy((-1, -4), data=bytes(16)),
    "nothing wide": npy((TRILLION,), "<U0"),
    "void": npy((TRILLION,), "|V0"),
    "objects": npy((2,), "|O", bytes(16)),
    "too little": npy((2, 2), data=bytes(8)),
    "too much": npy((2, 2), data=bytes(24)),
    "deep": npy((), head="(" * 3000 + ")" * 3000),
    "brackets": npy((), head="{'descr': " + "[" * 2000 + "]" * 2000 + ", 'fortran_order': False, 'shape': ()}"),
    "no dictionary": npy((), head="7"),
    "a call": npy((), head="{'descr': open('x', 'w'), 'fortran_order': False, 'shape': ()}"),
    "cut": b"\x93NUMPY\x01\x00\xff\xff{",
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_an_array_that_claims_too_much(claim: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.npy").write_bytes(CLAIMS[claim])
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in ("X.npy", "smiles.npy"):
            archive.writestr(name, CLAIMS[claim])
        archive.writestr("rows.csv", "row,smiles,status,reason\n0,C,ok,\n")
        archive.writestr("molmv.json", "{}")
    with little_memory():
        for read in (
            lambda: read_vectors(tmp_path / "a.npy", labelled=False),
            lambda: read_vectors(tmp_path / "a.npz"),
            lambda: load_embeddings(tmp_path / "a.npz"),
            lambda: Npz(tmp_path / "a.npz").array("X"),
        ):
            with pytest.raises(InputError):
                read()
    assert not (tmp_path / "x").exists()


def bomb(size: int) -> bytes:
    """An npz of which one text unpacks to so many bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", npy((size // 4, 1), data=bytes(size // 4 * 4)))
        archive.writestr("molmv.json", b" " * size)
        archive.writestr("rows.csv", b"row,smiles,status,reason\n" + b"\n" * size)
    return file.getvalue()


def test_a_zip_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpacking, "_FREE", MIB)
    path = tmp_path / "a.npz"
    path.write_bytes(bomb(8 * MIB))
    with little_memory(4 * MIB):
        for read in (load_embeddings, read_vectors):
            with pytest.raises(InputError, match="unpacks to over 250 times its size"):
                read(path)
    data = bytearray(path.read_bytes())  # the same, and claims that it is small
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            data[at + offset : at + offset + 4] = struct.pack("<I", 100)
    path.write_bytes(data)
    with little_memory(4 * MIB), pytest.raises(InputError):
        load_embeddings(path)


@pytest.mark.parametrize("line", [b"C" * 99 + b"\n", b"C"])
def test_a_gzip_bomb(line: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpacking, "_FREE", MIB)
    monkeypatch.setattr(textfile, "MAX_LINE", MIB // 4)
    path = tmp_path / "in.csv.gz"
    path.write_bytes(gzip.compress(b"smiles\n" + line * (8 * MIB // len(line))))
    with (
        little_memory(4 * MIB),
        pytest.raises(InputError, match=r"over 250 times|has over 262,144"),
    ):
        for _ in open_table(path).chunks(1000):
            pass
    with pytest.raises(InputError, match=r"over 250 times|has over"):
        read_table(path)


def test_an_honest_archive_of_a_dull_file_is_read(tmp_path: Path):
    path = tmp_path / "in.csv.gz"
    path.write_bytes(gzip.compress(b"smiles\n" + b"CCO\n" * 100_000))
    assert sum(len(chunk) for chunk in open_table(path).chunks(10_000)) == 100_000


def test_a_parquet_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpacking, "_FREE", MIB)
    rows = 100_000
    cells = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(rows * 16, np.float32)), 16)
    table = {"row": np.arange(rows), "smiles": ["C"] * rows, "status": ["ok"] * rows, "reason": [""] * rows}
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({**table, "row": pa.array(np.zeros(rows, np.int64)), "embedding": cells}), path)
    assert path.stat().st_size * 250 < rows * 64
    for read in (load_embeddings, read_vectors):
        with pytest.raises(InputError, match="unpacks to over 250 times its size"):
            read(path)


def forged_student(folder: Path, **sizes: Any) -> Path:
    KINDS["student config"](folder)
    content = json.loads((folder / "config.json").read_text())
    content["config"] |= sizes
    (folder / "config.json").write_text(json.dumps(content))
    reseal_pair(folder / "config.json", folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    "sizes",
    [{"width": TRILLION}, {"width": 60_000}, {"layers": TRILLION}, {"layers": 100}, {"embedding": 10**6},
     {"layers": -1}, {"width": 1.5}, {"pooling": "mean"}, {"pooling": 3}, {"readout": []}, {"layers": True}],
    ids=str,
)  # fmt: skip
def test_a_student_that_claims_to_be_larger_than_its_weights(sizes: dict[str, Any], tmp_path: Path):
    forged_student(tmp_path, **sizes)
    with little_memory(), pytest.raises(CheckpointError):
        Student.load(tmp_path, "cpu")


@pytest.mark.parametrize("key", ["hidden", "depth", "out_dim", "raw_dim"])
@pytest.mark.parametrize("value", [TRILLION, 10**6, -1, "3", None])
def test_heads_that_claim_to_be_larger_than_their_tensors(key: str, value: Any, tmp_path: Path):
    KINDS["heads spec"](tmp_path)
    content = json.loads((tmp_path / "heads.json").read_text())
    content["teachers"]["a"][key] = value
    (tmp_path / "heads.json").write_text(json.dumps(content))
    reseal_pair(tmp_path / "heads.json", tmp_path / "heads.safetensors")
    with little_memory(), pytest.raises(CheckpointError):
        Heads(tmp_path, "0" * 64)


def safetensors_of(shape: list[int], offsets: list[int], data: bytes = bytes(16)) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
    return struct.pack("<Q", len(header)) + header + data


@pytest.mark.parametrize(
    "data",
    [
        safetensors_of([TRILLION], [0, 4 * TRILLION]),
        safetensors_of([TRILLION], [0, 16]),
        safetensors_of([4], [0, 4 * TRILLION]),
        safetensors_of([2**63, 2], [0, 16]),
        struct.pack("<Q", TRILLION) + b"{}",
        struct.pack("<Q", 2**63) + b"{}",
        save({"w": torch.ones(4)})[:-3],
    ],
    ids=["size", "size of what is there", "offsets", "overflow", "header", "larger header", "cut"],
)
def test_safetensors_that_claim_too_much(data: bytes, tmp_path: Path):
    KINDS["student weights"](tmp_path)
    (tmp_path / "model.safetensors").write_bytes(data)
    reseal_pair(tmp_path / "config.json", tmp_path / "model.safetensors")
    with little_memory(), pytest.raises(CheckpointError):
        Student.load(tmp_path, "cpu")


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    store = KINDS["store manifest"](folder).file.parent
    manifest = json.loads((store / "manifest.json").read_text())
    change(manifest)
    (store / "manifest.json").write_text(json.dumps(manifest))
    reseal_store(store)
    return store


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(dim=TRILLION), lambda m: m.update(dim=-4), lambda m: m.update(dim="4"),
        lambda m: m.update(dim=8), lambda m: m.update(encoding="bits"), lambda m: m.update(encoding=[]),
        lambda m: m.update(parts=7), lambda m: m.update(parts=[7]), lambda m: m.update(parts={"a": 1}),
        lambda m: m["parts"][0].update(rows=TRILLION), lambda m: m["parts"][0].update(rows=-3),
        lambda m: m["parts"][0].update(rows="3"), lambda m: m["parts"][0].pop("rows"),
        lambda m: m["parts"][0].update(file="../store/part-00000.arrow"), lambda m: m["parts"][0].update(file=7),
        lambda m: m["parts"].append(m["parts"][0]), lambda m: m.update(complete="no"), lambda m: m.update(provenance=1),
        lambda m: m.update(teacher=3),
    ],
)  # fmt: skip
def test_a_store_whose_manifest_lies(change: Callable[[dict[str, Any]], Any], tmp_path: Path):
    with little_memory(), pytest.raises(StoreError):
        EmbeddingStore(edit_manifest(tmp_path, change))


def test_a_store_whose_texts_begin_outside_of_it(tmp_path: Path):
    """Arrow follows the offsets of a text column: those of a forged file would lead anywhere in memory."""
    target = KINDS["store part"](tmp_path)
    data = bytearray(target.file.read_bytes())
    offsets = struct.pack("<4i", 0, 2, 7, 9)  # ok, empty, ok
    place = data.index(offsets)
    for forged in ((0, 2, 7, 2**31 - 1), (0, 2, -5, 9), (2**30, 2**30, 2**30, 2**30)):
        data[place : place + 16] = struct.pack("<4i", *forged)
        target.file.write_bytes(data)
        target.reseal()
        with pytest.raises(StoreError, match="is not an Arrow file"):
            target.read()


FORGED: dict[str, Callable[[Any], Any]] = {
    "other columns": lambda table: table.rename_columns(["status", "text"][: table.num_columns]),
    "no status": lambda table: table.drop_columns("status"),
    "two of them": lambda table: table.append_column("status", table["status"]),
    "numbers": lambda table: table.set_column(0, "status", pa.array(range(len(table)))),
    "fewer rows": lambda table: table.slice(1),
    "more rows": lambda table: pa.concat_tables([table, table]),
    "other status": lambda table: table.set_column(0, "status", pa.array(["ok"] * len(table))),
}


@pytest.mark.parametrize("forged", list(FORGED)[1:])
def test_a_part_that_is_not_what_its_manifest_says(forged: str, tmp_path: Path):
    target = KINDS["part"](tmp_path)
    table = FORGED[forged](read_arrow(target.file))
    with pa.ipc.new_file(str(target.file), table.schema) as file:
        file.write_table(table)
    target.reseal()
    with pytest.raises(OutputError, match=r"part-00000\.arrow is damaged"):
        target.read()


def test_a_part_with_the_columns_of_another_job(tmp_path: Path):
    schema = pa.schema({"status": pa.string(), "row": pa.int64()})
    parts = Parts(tmp_path, {}, schema)
    parts.add(pa.table({"status": ["ok"], "row": [0]}))
    again = Parts(tmp_path, {}, schema)
    again.resume()
    assert again.rows == 1
    with pytest.raises(OutputError, match=r"part-00000\.arrow is damaged: its columns"):
        Parts(tmp_path, {}, pa.schema({"status": pa.string(), "row": pa.int32()})).resume()


def test_parts_that_change_after_they_were_taken_over(tmp_path: Path):
    target = KINDS["part"](tmp_path)
    parts = Parts(tmp_path)
    parts.resume()
    for spoilt in (b"ARROW1", target.file.read_bytes()[:300], b"PAR1" * 100):
        target.file.write_bytes(spoilt)
        with pytest.raises(OutputError, match=r"part-00000\.arrow is damaged"):
            list(parts.tables())
    target.file.unlink()
    with pytest.raises(OutputError, match=r"part-00000\.arrow is damaged"):
        list(parts.tables())


@pytest.mark.parametrize("forged", ["no status", "fewer rows", "more rows", "numbers", "no parquet", "half of one"])
def test_a_block_that_is_not_what_its_journal_says(forged: str, tmp_path: Path):
    target = KINDS["block"](tmp_path)
    if forged == "no parquet":
        target.file.write_bytes(b"PAR1" * 99)
    elif forged == "half of one":
        target.file.write_bytes(target.file.read_bytes()[: target.file.stat().st_size // 2])
    elif forged == "numbers":
        table = pq.read_table(target.file)
        pq.write_table(table.set_column(1, "smiles", pa.array([[0]] * len(table))), target.file)
    else:
        pq.write_table(FORGED[forged](pq.read_table(target.file)), target.file)
    target.reseal()
    with pytest.raises(StoreError, match=r"in\.csv-000001\.parquet is not the block"):
        target.read()


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[0].update(shard=[1, TRILLION]), lambda lines: lines[0].update(shard=[1]),
        lambda lines: lines[0].update(sources=[7]), lambda lines: lines[0].update(sources="in.csv"),
        lambda lines: lines[0].update(job=7), lambda lines: lines[0].update(more=1),
        lambda lines: lines[0]["job"].pop("options"), lambda lines: lines[0]["job"].pop("dim"),
        lambda lines: lines[0]["job"].update(dim=TRILLION), lambda lines: lines[0]["job"].update(dim="4"),
        lambda lines: lines[0]["job"]["options"].update(chunk_size=0),
        lambda lines: lines[0]["job"]["options"].update(chunk_size=None),
        lambda lines: lines[-2].update(rows=TRILLION), lambda lines: lines[-2].update(rows=-TRILLION),
        lambda lines: lines[-2].update(rows=2.5), lambda lines: lines[2].update(number=-1),
        lambda lines: lines[2].update(number=TRILLION), lambda lines: lines[2].update(status={"ok": 3}),
        lambda lines: lines[2].update(status=[3]), lambda lines: lines[2].update(source="../in.csv"),
        lambda lines: lines.pop(1), lambda lines: lines.pop(2), lambda lines: lines.append(lines[0] | {"job": {}}),
    ],
)  # fmt: skip
def test_a_journal_that_lies(change: Callable[[Any], Any], tmp_path: Path):
    target = KINDS["journal"](tmp_path)
    lines = [json.loads(line) for line in target.file.read_text().splitlines()]
    blocks = {path: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    change(lines)
    target.file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    target.reseal()
    assert blocks == {path: path.read_bytes() for path in blocks}
    with little_memory(), pytest.raises((StoreError, OutputError)):
        target.read()


def test_a_forest_that_never_ends():
    tree = {"root": [0], "left": [1, -1, -1], "right": [2, -1, -1], "feature": [0, 0, 0]}
    tree |= {"threshold": [0.5, 0.0, 0.0], "value": [0.0, 1.0, 2.0]}
    arrays = {name: np.array(values) for name, values in tree.items()}
    assert Forest.from_arrays(arrays).score(np.array([[0.0], [1.0]])).tolist() == [1.0, 2.0]
    for key, values in (
        ("left", [0, -1, -1]),
        ("right", [9, -1, -1]),
        ("root", [7]),
        ("root", []),
        ("right", [-3, 0, 0]),
    ):
        with pytest.raises(ValueError, match="forest"):
            Forest.from_arrays({**arrays, key: np.array(values, int)})


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 10_000, "a = " + "1" * 5_000, 'a = "' + "x" * (65 * MIB), "\0", "é" * 9]
)
def test_a_card_or_config_without_end(text: str, tmp_path: Path):
    for read, error in ((read_card, CardError), (read_config, ConfigError)):
        path = tmp_path / "toy.toml"
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(error):
            read(path)


JSON = ("store manifest", "student config", "heads spec", "index spec", "reference", "parts manifest", "journal")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, "1" * 5_000, "7", "null", "\xff"])
@pytest.mark.parametrize("kind", JSON)
def test_json_without_end(kind: str, text: str, tmp_path: Path):
    target = KINDS[kind](tmp_path)
    target.file.write_bytes(text.encode("latin-1"))
    with pytest.raises(MolmvError):
        target.read()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("toys==1.0", bad, "pypi: expected NAME==VERSION")
        for bad in ("--index-url=http://x", "./toys", "toys @ git+https://x/y", "https://x/y.tar.gz", "-r x", "toys",
                    "toys==1.0 --pre", "toys==1.0; python_version>'3'", "toys==../x", "a/b==1")
    ]
    + [
        ('pypi = "toys==1.0"\nmember = "toys/weights.bin"', f'source = "{bad}"', "source: expected an address")
        for bad in ("file:///etc/passwd", "ftp://x/y", "doi:10.1/x", "x", "https://x/a b")
    ]
    + [
        ('pypi = "toys==1.0"\nmember = "toys/weights.bin"', f'hf = "{bad}"', "hf: expected NAME/MODEL@REVISION")
        for bad in ("../x", "a/../b", "/etc", "a/b/c", "a/b@../c", "a\\\\b")
    ]
    + [
        ('pypi = "toys==1.0"\nmember = "toys/weights.bin"', f'file = "{bad}"', "leaves the card's folder")
        for bad in ("/etc/passwd", "../x.npy", "a/../../x", "C:\\\\x", "a\\\\..\\\\..\\\\x")
    ],
)  # fmt: skip
def test_a_card_that_names_what_is_not_its_own(old: str, new: str, message: str, tmp_path: Path):
    path = tmp_path / "toy.toml"
    path.write_text(CARD)
    read_card(path)
    path.write_text(CARD.replace(old, new))
    with pytest.raises(CardError, match=message):
        read_card(path)


def test_a_card_whose_name_is_a_path(tmp_path: Path):
    path = tmp_path / "...toml"
    path.write_text(CARD.replace('name = "toy"', 'name = ".."'))
    with pytest.raises(CardError, match="cannot be the name of a folder"):
        read_card(path)


@pytest.mark.parametrize("bad", ["../x", "/etc", "a/b", "..", "a\\\\b", "C:/x", ""])
@pytest.mark.parametrize("old", ['"ecfp", "minimol"', 'name = "mine"'])
def test_a_config_whose_names_are_paths(old: str, bad: str, tmp_path: Path):
    path = tmp_path / "distill.toml"
    new = f'"{bad}", "minimol"' if old.startswith('"') else f'name = "{bad}"'
    path.write_text(CONFIG.replace(old, new).replace("weights = {ecfp = 1.0, minimol = 0.5}", ""))
    with pytest.raises(ConfigError, match=r"teachers: expected names of stores|name: expected a name"):
        read_config(path)


def test_what_is_written_follows_no_link(tmp_path: Path):
    from molmv.atomic import replacing

    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out.csv.tmp").symlink_to(tmp_path / "precious")
    with replacing(tmp_path / "out.csv") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "out.csv").read_text() == "new"
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    with replacing(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "precious").read_text() == "mine"
    (tmp_path / "full.tmp").mkdir()
    with pytest.raises(OutputError), replacing(tmp_path / "full"):
        pass


def test_a_student_is_made_of_its_own_sizes(tmp_path: Path):
    """The check against claims does not get in the way."""
    assert Student.load(forged_student(tmp_path), "cpu").dim == SIZES["embedding"]
