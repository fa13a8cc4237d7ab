"""Every kind of file that molmv reads, as a small valid example that a test may spoil: a pickle, a claim, noise.

Where a file is known by its hash, ``reseal`` makes the hashes fit again, as a stranger who knows the formats can.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from fake_embedder import FakeEmbedder
from safetensors.torch import save

from molmv import formats, graphs, onnx_student
from molmv.adapters.pretrain_gnn import Network, load_network
from molmv.adapters.transformers_network import open_weights
from molmv.blocks import Block, Dataset, write_block
from molmv.cards import read_card
from molmv.distill.config import read_config
from molmv.distill.run import _check_checkpoint, _newest_checkpoint
from molmv.embeddings import EmbeddingStore, Header, StoreWriter
from molmv.errors import WeightsError
from molmv.evaluate.cache import EmbeddingCache
from molmv.hashing import sha256
from molmv.journal import Journal, Shard, block_file, journal_path
from molmv.loss import MajorityVoteLoss, TeacherSpec
from molmv.onnx_student import OnnxStudent
from molmv.parts import Parts
from molmv.predicting.domain import Domain
from molmv.predicting.heads import Linear, Scaler
from molmv.predicting.predictor import Predictor, load_predictor
from molmv.predicting.selection import Model
from molmv.reference import read_reference
from molmv.results import EmbeddingResult, load_embeddings
from molmv.rows import Rows
from molmv.standardise import Standardiser
from molmv.student.checkpoint import Checkpoint, config_digest, save_checkpoint
from molmv.student.embed import Student
from molmv.student.gine import make_encoder
from molmv.student.heads import Heads, save_heads
from molmv.table import open_table
from molmv.vector_files import read_vectors
from molmv.vector_index import VectorIndex, write_index

SMILES = ["CCO", "c1ccccc1", "not a molecule", "CC(=O)O", "", "N"]
SIZES = {"layers": 2, "width": 8, "embedding": 8}
HASH = "0" * 64
CARD = f"""name = "toy"
modality = "molecule"
adapter = "smiles_transformer"
dim = 3
likelihood = "gaussian"

[weights]
pypi = "toys==1.0"
member = "toys/weights.bin"
sha256 = "{HASH}"

[options]
layer = 2

[provenance]
licence = "MIT"
trained_on = ["ZINC15"]
labels_seen = []
"""
CONFIG = """name = "mine"
output = "build/mine"
teachers = ["ecfp", "minimol"]
seed = 3

[data]
corpus = "corpus.smi"
stores = "store"

[student]
kind = "gine"
layers = 4
width = 64

[loss]
objective = "gaussian"
weights = {ecfp = 1.0, minimol = 0.5}

[train]
steps = 10
learning_rate = 1e-3
"""


@dataclass(frozen=True)
class Target:
    """A file to spoil.

    Attributes:
        file: its path.
        read: opens it as a user would, and uses what was read.
        reseal: makes recorded hashes those of the files again.
        whole: whether it can be read before it is spoilt; a whole network of chemprop takes seconds to make.
    """

    file: Path
    read: Callable[[], Any]
    reseal: Callable[[], None] = lambda: None
    whole: bool = True


def _table(name: str, text: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        path = folder / name
        path.write_text(text)
        return Target(path, lambda: list(open_table(path).chunks(4)))

    return make


def _table_gz(folder: Path) -> Target:
    import gzip

    path = folder / "in.csv.gz"
    path.write_bytes(gzip.compress(b"smiles\n" + "\n".join(SMILES).encode(), mtime=0))
    return Target(path, lambda: list(open_table(path).chunks(4)))


def _table_parquet(folder: Path) -> Target:
    path = folder / "in.parquet"
    pq.write_table(pa.table({"smiles": SMILES}), path)
    return Target(path, lambda: list(open_table(path).chunks(4)))


def result() -> EmbeddingResult:
    """Six rows, two of them refused."""
    X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    X[[2, 4]] = np.nan
    status = ["ok", "ok", "invalid", "ok", "empty", "ok"]
    return EmbeddingResult(X, list(SMILES), status, ["", "", "cannot be parsed", "", "empty", ""])


def _embeddings(ending: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        path = folder / f"embeddings{ending}"
        result().save(path)
        return Target(path, lambda: load_embeddings(path).failures())

    return make


def _vectors(ending: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        path = folder / f"vectors{ending}"
        if ending == ".npy":
            np.save(path, result().X)
            return Target(path, lambda: read_vectors(path, labelled=False).vectors.sum())
        if ending == ".npz":
            np.savez_compressed(path, X=result().X, smiles=np.array(SMILES))
        else:
            result().save(path)
        return Target(path, lambda: read_vectors(path).vectors.sum())

    return make


def _text(name: str, text: str, read: Callable[[Path], Any]) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        path = folder / name
        path.write_text(text)
        return Target(path, lambda: read(path))

    return make


def _write_store(folder: Path) -> Path:
    header = Header("toy", HASH, 4, "gaussian", "float16", HASH, {"licence": "MIT"})
    writer = StoreWriter(folder / "store", header)
    found = result()
    for part in (slice(0, 3), slice(3, 6)):
        keys = np.arange(6, dtype=np.uint64)[part]
        writer.append(found.X[part], keys, found.status[part], found.reason[part])
    writer.finish()
    return folder / "store"


def reseal_store(store: Path) -> None:
    """Make the hashes of a store fit its files."""
    try:
        manifest = json.loads((store / "manifest.json").read_bytes())
        for part in manifest["parts"]:
            part["sha256"] = sha256(store / part["file"])
        manifest.pop("sha256", None)
        manifest["sha256"] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return  # no longer a manifest
    (store / "manifest.json").write_text(json.dumps(manifest))


def _store(name: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        store = _write_store(folder)

        def read() -> Any:
            opened = EmbeddingStore(store)
            return opened.take(np.arange(len(opened))), opened.constant, opened.header.provenance

        return Target(store / name, read, lambda: reseal_store(store))

    return make


def _unfinished_store(folder: Path) -> Target:
    store = _write_store(folder)
    header = Header("toy", HASH, 4, "gaussian", "float16", HASH, {})
    return Target(store / "part-00000.arrow", lambda: StoreWriter(store, header).rows, lambda: reseal_store(store))


def reseal_pair(config: Path, tensors: Path) -> None:
    """Make the hashes in a config fit it and its safetensors file."""
    try:
        content = json.loads(config.read_bytes())
        content["digest"] = sha256(tensors)
        content["config_digest"] = config_digest(content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    config.write_text(json.dumps(content))


def _student(name: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        encoder = make_encoder(SIZES)
        save_checkpoint(Checkpoint("tiny", "gine", SIZES, {}, encoder.state_dict()), folder)
        seal = lambda: reseal_pair(folder / "config.json", folder / "model.safetensors")  # noqa: E731
        return Target(folder / name, lambda: _embed(Student.load(folder, "cpu")), seal)

    return make


def _embed(model: Any) -> Any:
    return model.embed(model.screen(SMILES))


def _heads(name: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        loss = MajorityVoteLoss({"a": TeacherSpec(3), "b": TeacherSpec(5, "bernoulli")}, 8, hidden=8, depth=1)
        scalers = {"a": Standardiser(3).fit(torch.randn(20, 3)), "b": Standardiser(5, "identity").fit(torch.eye(5))}
        save_heads(folder, loss, scalers, HASH)
        seal = lambda: reseal_pair(folder / "heads.json", folder / "heads.safetensors")  # noqa: E731
        return Target(folder / name, lambda: Heads(folder, HASH).predict("a", torch.zeros(2, 8)), seal)

    return make


def _predictor(name: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        scaler = Scaler(np.zeros(4), np.ones(4))
        head = Model("linear", {"penalty": 1.0}, scaler, Linear(np.ones(4), np.zeros(1)))
        domain = Domain(np.ones((2, 32), np.uint64), 0.3)
        Predictor("pIC50", "regression", (), FakeEmbedder(), "", head, 0.9, 1.0, None, domain).save(folder)
        seal = lambda: reseal_pair(folder / "config.json", folder / "model.safetensors")  # noqa: E731
        read = lambda: load_predictor(folder, FakeEmbedder()).predict(SMILES)  # noqa: E731
        return Target(folder / name, read, seal)

    return make


def _index(name: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        X = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
        write_index(folder / "index", [(X, pa.table({"row": np.arange(40)}))], {"dim": 8, "model": "m", "digest": HASH})

        def seal() -> None:
            path = folder / "index" / "index.json"
            try:
                spec = json.loads(path.read_bytes())
                spec["sha256"] = {one: sha256(folder / "index" / one) for one in spec["sha256"]}
            except (ValueError, KeyError, TypeError, AttributeError, OSError):
                return
            path.write_text(json.dumps(spec))

        return Target(folder / "index" / name, lambda: VectorIndex(folder / "index").search(X[:3], 2), seal)

    return make


def _onnx(folder: Path) -> Target:
    from onnx import TensorProto, helper

    shapes = {"atoms": ["a", 8], "source": ["e"], "target": ["e"], "bond_codes": ["e"], "graph": ["a"], "sizes": ["m"]}
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, shape) for n, shape in shapes.items()]
    nodes = [
        helper.make_node("Cast", ["sizes"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["axis"], value=helper.make_tensor("v", TensorProto.INT64, [1], [1])),
        helper.make_node("Unsqueeze", ["real", "axis"], ["embeddings"]),
    ]
    out = [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["m", 1])]
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, out), opset_imports=opset, ir_version=9)
    fields = {"atom": graphs.ATOM_FIELDS, "bond": graphs.BOND_FIELDS}
    about = {"format": onnx_student.FORMAT, "fields": fields, "name": "toy", "dim": 1, "provenance": {}}
    helper.set_model_props(model, {"molmv": json.dumps(about)})
    path = folder / "student.onnx"
    path.write_bytes(model.SerializeToString())
    return Target(path, lambda: _embed(OnnxStudent(path)))


def _cache(folder: Path) -> Target:
    cache = EmbeddingCache(FakeEmbedder(), folder)
    cache.vectors(["C", "CC"])
    (path,) = cache.folder.glob("*.npz")
    return Target(path, lambda: EmbeddingCache(FakeEmbedder(), folder).vectors(["C", "CC"]))


def _training(folder: Path) -> Target:
    config = read_config(_text("distill.toml", CONFIG, read_config)(folder).file)
    path = folder / "checkpoints" / "00000010.ckpt"
    path.parent.mkdir()
    torch.save({"global_step": 10, "config_digest": config.digest, "state_dict": {"w": torch.ones(3)}}, path)

    def read() -> Any:
        newest = _newest_checkpoint(path.parent)
        return newest and _check_checkpoint(newest, config)

    return Target(path, read)


def _gnn(folder: Path) -> Target:
    path = folder / "gcn.pth"
    torch.save(Network("gcn").state_dict(), path)
    return Target(path, lambda: load_network("toy", path, "gcn"))


def _transformer(ending: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        path = folder / f"model{ending}"
        tensors = {"w": torch.zeros(2, 3)}
        path.write_bytes(save(tensors)) if ending == ".safetensors" else torch.save(tensors, path)
        return Target(path, lambda: _opened(path))

    return make


def _opened(path: Path) -> Any:
    try:
        return open_weights(path)
    except ValueError as error:  # the adapter adds which teacher's they are
        raise WeightsError(str(error)) from error


def _chemprop(folder: Path) -> Target:
    from molmv.adapters.chemprop_checkpoint import read_network

    path = folder / "model.ckpt"
    torch.save({"hyper_parameters": {}, "state_dict": {"w": torch.zeros(2)}}, path)
    return Target(path, lambda: read_network("toy", path), whole=False)


def _reference(folder: Path) -> Target:
    card = read_card(_text("toy.toml", CARD, read_card)(folder).file)
    path = folder / "reference" / "toy.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"dim": 3, "versions": {}, "inputs": {"a": None}, "tolerance": 0.001}))
    return Target(path, lambda: read_reference(card))


def _parts(name: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        parts = Parts(folder, {"input": HASH})
        parts.add(pa.table({"status": ["ok", "empty"], "smiles": ["C", ""]}))

        def seal() -> None:
            path = folder / "manifest.json"
            try:
                content = json.loads(path.read_bytes())
                for part in content["parts"]:
                    part["sha256"] = sha256(folder / part["file"])
                content.pop("sha256", None)
                content["sha256"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
            except (ValueError, KeyError, TypeError, AttributeError, OSError):
                return
            path.write_text(json.dumps(content))

        def read() -> Any:
            again = Parts(folder, {"input": HASH})
            again.resume()
            return list(again.tables())

        return Target(folder / name, read, seal)

    return make


def reseal_journal(journal: Path) -> None:
    """Make the hashes of the lines of a journal fit them, and those of its blocks their files."""
    lines, whole = [], hashlib.sha256()
    try:
        for line in journal.read_bytes().splitlines():
            entry = json.loads(line)
            entry.pop("line", None)
            if "number" in entry:
                entry["sha256"] = sha256(journal.parent / block_file(entry["source"], entry["number"]))
            if "complete" in entry:
                entry["complete"] = whole.hexdigest()
            entry["line"] = hashlib.sha256(json.dumps(entry).encode()).hexdigest()[:16]
            lines.append(json.dumps(entry).encode() + b"\n")
            whole.update(lines[-1])
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return
    journal.write_bytes(b"".join(lines))


def _blocks(name: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        schema = formats.schema(4, None, {})
        journal = Journal(journal_path(folder, Shard()))
        journal.begin({"dim": 4, "options": {"chunk_size": 3, "id_column": None}}, Shard(), ["in.csv"])
        journal.begin_source("in.csv", HASH)
        found = result()
        for number, part in enumerate((slice(0, 3), slice(3, 6))):
            rows = Rows(SMILES[part], found.status[part], found.reason[part])
            block = Block(part.start, SMILES[part], None, {}, "in.csv", number)
            table = formats.to_table(schema, part.start, SMILES[part], None, rows, found.X[part])
            journal.add(write_block(folder, block, table))
        journal.end_source("in.csv", 6)
        journal.finish()

        def read() -> Any:
            whole = Dataset(folder)
            return whole.schema({}), list(whole.tables())

        return Target(folder / name, read, lambda: reseal_journal(journal.path))

    return make


#: kind of file -> makes one in an empty folder
KINDS: dict[str, Callable[[Path], Target]] = {
    "csv": _table("in.csv", "id,smiles\n" + "".join(f'{i},"{s}"\n' for i, s in enumerate(SMILES))),
    "tsv": _table("in.tsv", "id\tsmiles\n" + "".join(f"{i}\t{s}\n" for i, s in enumerate(SMILES))),
    "smi": _table("in.smi", "".join(f"{s} m{i}\n" for i, s in enumerate(SMILES))),
    "csv.gz": _table_gz,
    "parquet": _table_parquet,
    **{f"embeddings{ending}": _embeddings(ending) for ending in (".parquet", ".csv", ".npz")},
    **{f"vectors{ending}": _vectors(ending) for ending in (".npy", ".npz", ".parquet", ".csv")},
    "card": _text("toy.toml", CARD, read_card),
    "config": _text("distill.toml", CONFIG, lambda path: read_config(path).digest),
    "store manifest": _store("manifest.json"),
    "store part": _store("part-00001.arrow"),
    "unfinished store": _unfinished_store,
    "student config": _student("config.json"),
    "student weights": _student("model.safetensors"),
    "heads spec": _heads("heads.json"),
    "heads tensors": _heads("heads.safetensors"),
    "predictor config": _predictor("config.json"),
    "predictor arrays": _predictor("model.safetensors"),
    "index spec": _index("index.json"),
    "index vectors": _index("vectors.usearch"),
    "index rows": _index("rows.parquet"),
    "onnx": _onnx,
    "evaluate cache": _cache,
    "training checkpoint": _training,
    "gnn weights": _gnn,
    "transformer weights": _transformer(".bin"),
    "transformer safetensors": _transformer(".safetensors"),
    "chemprop checkpoint": _chemprop,
    "reference": _reference,
    "parts manifest": _parts("manifest.json"),
    "part": _parts("part-00000.arrow"),
    "journal": _blocks("_blocks-1-of-1.jsonl"),
    "block": _blocks("in.csv-000001.parquet"),
}


class Evil:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)
