"""What the teachers say of a corpus, on a machine with a GPU, in memory: the first step of ``gpu_students.py``.

Processes on the cores read molecules and compute fingerprints; meanwhile the GPU runs the networks of the chunks that
are ready. The numbers are those of ``molmv teachers embed`` (``check`` compares them, within rounding). Descriptors
and MACCS keys, slow, come with the corpus (``slow``, ``pack``): of as many molecules as there was time for.

    python configs/gpu_stores.py slow maccs build/corpus.smi -o build/slow           # on CPUs, beforehand; goes on
    python configs/gpu_stores.py slow rdkit-descriptors build/corpus.smi -o build/slow
    python configs/gpu_stores.py headers build/packed/headers.json
    python configs/gpu_stores.py pack build/corpus.smi build/slow -o build/packed
    python configs/gpu_stores.py check build/corpus.smi --vocabulary VOCAB.TXT --headers build/packed/headers.json
"""

from __future__ import annotations

import argparse
import json
import lzma
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from molmv.adapters import minimol_features, pretrain_gnn_features
from molmv.adapters.minimol_onnx import build_graph, read_weights
from molmv.adapters.minimol_torch import OnnxInTorch
from molmv.adapters.smiles_tokens import SmilesRegex
from molmv.atomic import replacing
from molmv.embeddings import ENCODINGS, Header, decode
from molmv.graphs import Graphs, concatenate, featurise
from molmv.models import load_teacher
from molmv.molecules import quiet, screen

CHUNK = 1024
PART = 2048  # rows of a file of a slow teacher
BERT_BATCH = 256
COUNTS = ("ecfp-count", "atom-pair-count", "topological-torsion-count")
GNNS = (
    "pretrain-gnn-gcn-contextpred",
    "pretrain-gnn-graphsage-contextpred",
    "pretrain-gnn-gat-contextpred",
)
BERTS = ("rxnfp-bert-pretrained",)
TEACHERS = ("minimol", *GNNS, *BERTS, "rdkit-descriptors", "ecfp", *COUNTS, "maccs")
#: Quantisation of packed descriptors, in standard deviations: far below the noise (one) that the loss sees them through.
STEP = 0.1


# -- on the cores ---------------------------------------------------------------------------------


def work(job: tuple[int, list[str], str, str]) -> tuple[int, str]:
    """Everything of a chunk that needs no GPU, into a file in shared memory."""
    number, lines, vocabulary, folder = job
    parts: dict[str, np.ndarray] = {}
    from rdkit import Chem
    from rdkit.Chem import rdFingerprintGenerator

    with quiet():
        mols = [Chem.MolFromSmiles(text) for text in lines]
        made = {
            "ecfp-count": rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048),
            "atom-pair-count": rdFingerprintGenerator.GetAtomPairGenerator(fpSize=2048),
            "topological-torsion-count": rdFingerprintGenerator.GetTopologicalTorsionGenerator(fpSize=1024),
        }
        for name, generator in made.items():
            found = np.stack([generator.GetCountFingerprintAsNumPy(mol) for mol in mols])
            parts[name] = np.minimum(found, 255).astype(np.uint8)
        parts["ecfp"] = np.packbits(parts["ecfp-count"] > 0, axis=1)
    graphs = featurise(screen(lines))
    for name in ("atoms", "atom_offsets", "bonds", "bond_codes", "bond_offsets"):
        parts[f"graphs/{name}"] = getattr(graphs, name)
    gnn, rows = pretrain_gnn_features.featurise(lines)
    for name, kind in (("atoms", np.uint8), ("ends", np.int32), ("bonds", np.uint8), ("sizes", np.int32)):
        parts[f"gnn/{name}"] = getattr(gnn, name).astype(kind)
    parts["gnn/rows"] = np.array(rows)
    with minimol_features.single_threaded():
        found = [minimol_features.featurise(text) for text in lines]
    good = [graph for graph in found if graph is not None]
    for name, value in minimol_features.collate(good).items():
        small = {"feat": np.float16, "batch": np.int32, "bond_class": np.uint8, "source": np.int32, "target": np.int32}
        half = name.startswith(("laplacian", "rw"))
        parts[f"minimol/{name}"] = value.astype(np.float16 if half else small.get(name, value.dtype))
    parts["minimol/rows"] = np.flatnonzero([graph is not None for graph in found])
    read = _tokenizer(vocabulary)
    tokens = [read(text) for text in lines]
    lengths = np.array([0 if t.unknown or len(t.ids) > 512 else len(t.ids) for t in tokens])
    parts["bert/lengths"] = lengths
    parts["bert/ids"] = np.array([i for t, n in zip(tokens, lengths, strict=True) if n for i in t.ids], np.int16)
    path = f"{folder}/{number:06d}.npz"
    np.savez(path, **parts)  # type: ignore[arg-type]
    return number, path


@cache
def _tokenizer(vocabulary: str) -> SmilesRegex:
    return SmilesRegex(Path(vocabulary))


def _quiet_worker() -> None:
    torch.set_num_threads(1)


# -- on the GPU -----------------------------------------------------------------------------------


class Networks:
    """The networks among the teachers, on a device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.minimol = OnnxInTorch(build_graph(read_weights("minimol")), device)
        self.gnns, self.berts = (
            {name: load_teacher(name, str(device)).adapter for name in names} for names in (GNNS, BERTS)
        )

    @torch.inference_mode()
    def __call__(self, parts: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Name, rows and vectors of each network."""
        inputs = {k.removeprefix("minimol/"): v for k, v in parts.items() if k.startswith("minimol/")}
        chosen = inputs.pop("rows")
        on = {k: torch.from_numpy(v).to(self.device) for k, v in inputs.items()}
        on = {k: v.float() if v.is_floating_point() else v.long() for k, v in on.items()}
        yield "minimol", chosen, self.minimol(on).cpu().numpy()
        yield from self._gnns(parts)
        yield from self._berts(parts)

    def _gnns(self, parts: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        wide = {k: parts[f"gnn/{k}"].astype(np.int64) for k in ("atoms", "ends", "bonds", "sizes")}
        graph = pretrain_gnn_features.Graph(**wide)
        for name, adapter in self.gnns.items():
            yield name, parts["gnn/rows"], adapter._embed(graph)

    def _berts(self, parts: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        lengths = parts["bert/lengths"]
        read = np.split(parts["bert/ids"], np.cumsum(lengths)[:-1])
        order = np.argsort(lengths)
        order = order[lengths[order] > 0]
        for name, adapter in self.berts.items():
            for some in np.split(order, range(BERT_BATCH, len(order), BERT_BATCH)):
                yield name, some, adapter._embed([read[row].tolist() for row in some])


# -- stores in memory -----------------------------------------------------------------------------


@dataclass
class MemoryStore:
    """What :class:`molmv.embeddings.EmbeddingStore` is, without a file."""

    path: Path
    header: Header
    values: np.ndarray
    valid: np.ndarray

    @property
    def cells(self) -> list[np.ndarray]:
        return [self.values]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: np.ndarray) -> np.ndarray:
        return decode(self.values[np.asarray(rows)], self.header.encoding, self.header.dim)


def empty_store(header: Header, rows: int) -> MemoryStore:
    """Room for so many rows, none of which it has."""
    cells = np.zeros((rows, header.width), ENCODINGS[header.encoding])
    return MemoryStore(Path(header.teacher), header, cells, np.zeros(rows, bool))


def fill(
    lines: Sequence[str], headers: dict[str, Header], vocabulary: Path, device: torch.device, seconds: float, cores: int
) -> tuple[dict[str, MemoryStore], Graphs]:
    """Stores and graphs of the first rows: of all, or of as many as there is time for."""
    stores = {name: empty_store(headers[name], len(lines)) for name in TEACHERS}
    graphs: list[Graphs] = []
    networks = Networks(device)
    folder = Path(tempfile.mkdtemp(prefix="molmv-", dir="/dev/shm"))
    jobs = (
        (k, list(lines[k * CHUNK : (k + 1) * CHUNK]), str(vocabulary), str(folder))
        for k in range(-(-len(lines) // CHUNK))
    )
    start, done = time.monotonic(), 0
    with multiprocessing.get_context("forkserver").Pool(cores, _quiet_worker) as pool:
        for number, path in pool.imap(work, jobs):
            with np.load(path, allow_pickle=False) as file:
                parts = {name: file[name] for name in file.files}
            Path(path).unlink()
            first = number * CHUNK
            rows = len(parts["bert/lengths"])
            graphs.append(Graphs(**{k.removeprefix("graphs/"): v for k, v in parts.items() if k.startswith("graphs/")}))
            for name in ("ecfp", *COUNTS):
                stores[name].values[first : first + rows] = parts[name]
                stores[name].valid[first : first + rows] = True
            for name, chosen, vectors in networks(parts):
                good = np.isfinite(vectors).all(1)
                stores[name].values[first + chosen[good]] = vectors[good]
                stores[name].valid[first + chosen[good]] = True
            done = first + rows
            if time.monotonic() - start > seconds:
                pool.terminate()
                break
    print(f"{done:,} rows in {time.monotonic() - start:.0f} s", flush=True)
    for store in stores.values():
        store.values, store.valid = store.values[:done], store.valid[:done]
    return stores, concatenate(graphs)


# -- packing --------------------------------------------------------------------------------------


def embed_slow(name: str, corpus: Path, out: Path, start: int, step: int) -> None:
    """A teacher's vectors of a file of SMILES, 2,048 rows a file; those that are there already are left alone."""
    lines = [line.split()[0] for line in corpus.read_text().splitlines()]
    folder = out / {"maccs": "maccs", "rdkit-descriptors": "descriptors"}[name]
    (folder / corpus.stem).mkdir(parents=True, exist_ok=True)
    (folder / f"{corpus.stem}.smi").write_text("\n".join(lines) + "\n")
    teacher = load_teacher(name)
    for k in range(start, -(-len(lines) // PART), step):
        path = folder / corpus.stem / f"{k:06d}.npz"
        if not path.exists():
            vectors = teacher.embed(teacher.screen(lines[k * PART : (k + 1) * PART]))
            good = np.isfinite(vectors).all(1)
            vectors = np.where(good[:, None], vectors, 0)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, v=np.packbits(vectors > 0, axis=1) if name == "maccs" else vectors, ok=good)


def pack(corpus: Path, slow: Path, out: Path) -> None:
    """SMILES, quantised descriptors and MACCS keys, small enough to travel."""
    lines = [line.split()[0] for line in corpus.read_text().splitlines()]
    place = {text: i for i, text in enumerate(lines)}
    out.mkdir(parents=True, exist_ok=True)
    (out / "corpus.smi.xz").write_bytes(lzma.compress(("\n".join(lines) + "\n").encode(), preset=6))

    rows, values = _gather(slow / "maccs", place)
    (out / "maccs.xz").write_bytes(lzma.compress(values.T.tobytes(), preset=4))
    described, table = _gather(slow / "descriptors", place)
    low, high = np.quantile(table[:100_000], [0.0005, 0.9995], axis=0)
    scale = table[:100_000].clip(low, high).std(0)
    scale[scale == 0] = 1
    np.savez(out / "rows.npz", maccs=rows, described=described, low=low, step=scale * STEP)
    with lzma.open(out / "descriptors.xz", "wb", preset=4) as file:
        for k in range(table.shape[1]):
            column = np.rint((table[:, k].clip(low[k], high[k]) - low[k]) / (scale[k] * STEP)).astype(np.uint16)
            file.write((column & 255).astype(np.uint8).tobytes() + (column >> 8).astype(np.uint8).tobytes())
    print(f"{len(lines):,} molecules, {len(rows):,} with MACCS keys, {len(described):,} with descriptors")


def _gather(folder: Path, place: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the corpus, ascending, that the folder has vectors of (``SOURCE.smi``, ``SOURCE/*.npz``); and these."""
    found, values = [], []
    for listed in sorted(folder.glob("*.smi")):
        source = [line.split()[0] for line in listed.read_text().splitlines()]
        for path in sorted(listed.with_suffix("").glob("*.npz")):
            with np.load(path, allow_pickle=False) as file:
                vectors, good = file["v"], file["ok"]
            first = int(path.stem) * PART
            rows = np.array([place.get(text, -1) for text in source[first : first + len(vectors)]], np.int32)
            chosen = good & (rows >= 0)
            found.append(rows[chosen])
            values.append(vectors[chosen])
    rows, table = np.concatenate(found), np.concatenate(values)
    order = np.argsort(rows)
    return rows[order], table[order]


def unpack(folder: Path) -> tuple[list[str], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """SMILES; and of each slow teacher the rows that it has, and its vectors as they are kept."""
    lines = lzma.decompress((folder / "corpus.smi.xz").read_bytes()).decode().split()
    with np.load(folder / "rows.npz", allow_pickle=False) as file:
        rows, described, low, step = (file[name] for name in ("maccs", "described", "low", "step"))
    keys = np.frombuffer(lzma.decompress((folder / "maccs.xz").read_bytes()), np.uint8).reshape(-1, len(rows)).T
    columns = np.frombuffer(lzma.decompress((folder / "descriptors.xz").read_bytes()), np.uint8)
    columns = columns.reshape(len(low), 2, len(described))
    table = np.empty((len(described), len(low)), np.float32)
    for k, (small, large) in enumerate(columns):
        table[:, k] = (small.astype(np.float32) + 256 * large.astype(np.float32)) * step[k] + low[k]
    return lines, {"maccs": (rows, keys), "rdkit-descriptors": (described, table)}


def read_headers(path: Path, corpus: str) -> dict[str, Header]:
    """Headers of the stores, as ``write_headers`` left them."""
    return {name: Header(**{**said, "corpus": corpus}) for name, said in json.loads(path.read_text()).items()}


def write_headers(path: Path) -> None:
    """What the store of each teacher says of it."""
    from molmv.embed_corpus import load

    said = {name: dict(load(name).said.__dict__) for name in TEACHERS}
    path.write_text(json.dumps(said, default=dict))


def check(corpus: Path, vocabulary: Path, headers: Path, device: torch.device) -> None:
    """Largest difference from each teacher, as ``molmv teachers embed`` has it, in standard deviations."""
    lines = [line.split()[0] for line in corpus.read_text().splitlines()[:500]]
    stores, _ = fill(lines, read_headers(headers, ""), vocabulary, device, 1e9, 1)
    for name, store in stores.items():
        if name in ("rdkit-descriptors", "maccs"):
            continue
        teacher = load_teacher(name)
        rows = teacher.screen(lines)
        expected = teacher.embed(rows)
        both = store.valid & np.isfinite(expected).all(1)
        mine = store.take(np.flatnonzero(both))
        spread = np.maximum(expected[both].std(0), 1e-3)
        off = np.abs((mine - expected[both]) / spread).max()
        print(f"{name}: {both.sum()} of {store.valid.sum()} and {len(lines)}, off by {off:.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack")
    packing.add_argument("corpus", type=Path)
    packing.add_argument("slow", type=Path, help="maccs/ and descriptors/, each with SOURCE.smi and SOURCE/*.npz")
    packing.add_argument("-o", "--out", type=Path, required=True)
    checking = verbs.add_parser("check")
    checking.add_argument("corpus", type=Path)
    checking.add_argument("--vocabulary", type=Path, required=True)
    checking.add_argument("--headers", type=Path, required=True)
    slow = verbs.add_parser("slow")
    slow.add_argument("teacher", choices=["maccs", "rdkit-descriptors"])
    slow.add_argument("corpus", type=Path)
    slow.add_argument("-o", "--out", type=Path, required=True)
    slow.add_argument("--start", type=int, default=0, help="first file, of every STEP-th: several processes share")
    slow.add_argument("--step", type=int, default=1)
    describing = verbs.add_parser("headers")
    describing.add_argument("out", type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "pack":
        pack(arguments.corpus, arguments.slow, arguments.out)
    elif arguments.verb == "slow":
        embed_slow(arguments.teacher, arguments.corpus, arguments.out, arguments.start, arguments.step)
    elif arguments.verb == "headers":
        write_headers(arguments.out)
    else:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        check(arguments.corpus, arguments.vocabulary, arguments.headers, device)


if __name__ == "__main__":
    main()
