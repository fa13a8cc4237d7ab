"""One page about everything, with names that try to run as code; shared by the tests of text and of the browser."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_distillation import World, make_world

EVIL = "</script><img src=x onerror=hacked=1>\"'><svg onload=hacked=1> {{datum}} <!-- \u2028"
SMILES = ["CCO", "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "CCN", "c1ccncc1"] * 5


@pytest.fixture(scope="session")
def embeddings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of embeddings: row 3 is refused; names, SMILES and reasons are hostile."""
    from molmv.results import EmbeddingResult

    X = np.random.default_rng(0).normal(size=(len(SMILES), 12)).astype(np.float32)
    X[3] = np.nan
    result = EmbeddingResult(
        X=X,
        inputs=[text if row != 3 else EVIL for row, text in enumerate(SMILES)],
        status=["ok" if row != 3 else "invalid" for row in range(len(X))],
        reason=["" if row != 3 else EVIL for row in range(len(X))],
        ids=[f"{EVIL} {row}" for row in range(len(X))],
        id_column="<b>id</b>",
        provenance={"model": EVIL},
    )
    path = tmp_path_factory.mktemp("embeddings") / "<img src=x onerror=hacked=1>.parquet"
    result.save(path)
    return path


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbers for the rows of the embeddings, in a column whose name is hostile; one is missing."""
    path = tmp_path_factory.mktemp("table") / "assay.csv"
    cells = [str(row / 10) if row != 4 else "" for row in range(len(SMILES))]
    name = EVIL.replace('"', "").replace("\u2028", "")
    path.write_text("\n".join([f'row,"{name}"', *(f"{row},{cell}" for row, cell in enumerate(cells))]) + "\n")
    return path


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A corpus with its stores."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def distilled(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    from molmv.distill import distill

    output = tmp_path_factory.mktemp("runs") / "mine"
    distill(world.config(output, train={"steps": 12}))
    numbers = {"nats": 3.0, "low": 2.5, "high": 3.5, "most": 8.0}  # the corpus is too small to estimate it
    (output / "information.json").write_text(json.dumps({"teachers": {"real": numbers, EVIL: numbers}}))
    return output


@pytest.fixture(scope="session")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables as `molmv evaluate` writes them, of three models on six tasks."""
    folder = tmp_path_factory.mktemp("evaluation")
    lines = ["task,model,head,split,metric,repeats,mean,sd"]
    for i in range(6):
        for model, mean in (("<b>best</b>", 0.9), ("middle", 0.8), ("worst", 0.6)):
            lines.append(f"task{i},{model},linear,scaffold,AUROC,5,{mean + i / 100:.4f},0.01")
    (folder / "strict.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def page(
    embeddings: Path,
    table: Path,
    world: World,
    distilled: Path,
    evaluation: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The page about all of them."""
    pytest.importorskip("altair")
    from molmv.reporting import report

    out = tmp_path_factory.mktemp("page") / "report.html"
    return report([embeddings, distilled, world.stores, evaluation], out, table=table)
