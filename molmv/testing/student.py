"""The life of a student, as tests to inherit.

A student is tested by one class that says where its checkpoint lies::

    class TestMyStudent(MoleculeStudentSuite):
        @pytest.fixture(scope="class")
        @classmethod
        def folder(cls):
            return Path("build/my-student/student")

Everything is asked of the embedder that a user gets from the folder, nothing of the network inside.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molmv.embedder import Embedder
from molmv.models import load_student
from molmv.rows import OK, TRUNCATED
from molmv.student.checkpoint import load_checkpoint, save_checkpoint
from molmv.student.embed import Student

#: Largest difference that rounding may make to a number of an embedding.
TOLERANCE = 1e-4

#: Inherited tests are run by several classes; an example that one of them failed is a good one for the others.
several_classes = settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow])


class StudentSuite:
    """What every student does; needs a fixture ``folder`` and inputs of its modality."""

    #: Inputs that a student must tell apart.
    good: ClassVar[Sequence[str]]
    #: Inputs that it must refuse.
    bad: ClassVar[Sequence[Any]] = ("", "  ", None)

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls) -> Path:
        """The student's checkpoint."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def student(cls, folder: Path) -> Student:
        return load_student(folder, device="cpu")

    @pytest.fixture(scope="class")
    @classmethod
    def alone(cls, student: Student) -> dict[str, np.ndarray]:
        """The embedding of each good input, embedded by itself."""
        return {text: student.embed(student.screen([text]))[0] for text in cls.good}

    def test_is_an_embedder(self, student: Student) -> None:
        assert isinstance(student, Embedder)
        assert len(bytes.fromhex(student.digest)) == 32
        json.dumps(student.provenance)

    def test_vectors_are_finite_and_of_its_width(self, student: Student) -> None:
        X = student.embed(student.screen(self.good))
        assert X.dtype == np.float32
        assert X.shape == (len(self.good), student.dim)
        assert np.isfinite(X).all()

    def test_the_same_twice(self, student: Student) -> None:
        first, second = (student.embed(student.screen(self.good)) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_tells_inputs_apart(self, alone: dict[str, np.ndarray]) -> None:
        X = np.stack(list(alone.values()))
        distances = np.abs(X[:, None] - X[None]).max(-1) + np.eye(len(X))
        first, second = np.unravel_index(distances.argmin(), distances.shape)
        assert distances.min() > TOLERANCE, (self.good[first], self.good[second])

    def test_no_rows(self, student: Student) -> None:
        assert student.embed(student.screen([])).shape == (0, student.dim)

    @pytest.mark.parametrize("count", [1, 3])
    def test_bad_rows_alone(self, student: Student, count: int) -> None:
        for text in self.bad:
            rows = student.screen([text] * count)
            X = student.embed(rows)
            assert X.shape == (count, student.dim)
            assert np.isnan(X).all()
            assert not rows.valid.any()
            assert all(rows.reason)

    @pytest.mark.parametrize("batch_size", [1, 2, 7, 1000])
    def test_batch_size_changes_nothing(self, folder: Path, alone: dict[str, np.ndarray], batch_size: int) -> None:
        student = load_student(folder, device="cpu", batch_size=batch_size)
        X = student.embed(student.screen(self.good))
        np.testing.assert_allclose(X, np.stack(list(alone.values())), rtol=0, atol=TOLERANCE)

    @several_classes
    @given(data=st.data())
    def test_row_i_is_input_i(self, student: Student, alone: dict[str, np.ndarray], data: st.DataObject) -> None:
        """Any mixture of good and bad rows in any order: each good row as if alone, each bad one with a reason."""
        values = data.draw(st.lists(st.sampled_from([*self.good, *self.bad]), max_size=12))
        rows = student.screen(values)
        X = student.embed(rows)
        assert len(X) == len(rows) == len(values)
        for value, row, status, reason in zip(values, X, rows.status, rows.reason, strict=True):
            if value in alone:
                assert (status, reason) == (OK, "")
                np.testing.assert_allclose(row, alone[value], rtol=0, atol=TOLERANCE)
            else:
                assert status != OK
                assert reason
                assert np.isnan(row).all()

    def test_checkpoint_round_trip(self, folder: Path, student: Student, tmp_path: Path) -> None:
        save_checkpoint(load_checkpoint(folder), tmp_path / "copy")
        copy = load_student(tmp_path / "copy", device="cpu")
        assert (copy.name, copy.dim, copy.digest) == (student.name, student.dim, student.digest)
        assert copy.provenance == student.provenance
        found, expected = (s.embed(s.screen(self.good)) for s in (copy, student))
        np.testing.assert_array_equal(found, expected)


class TextStudentSuite(StudentSuite):
    """For students that read texts."""

    good = (
        "card",
        "Where is my card?",
        "Is my card where?",
        "The film was a slow, dull and painful affair.",
        "A joy from beginning to end!",
        "play some café jazz",
        "How do I merge two dictionaries in Python?",
        "word " * 20,
    )
    bad = (*StudentSuite.bad, "\x07\x1b", "half a pair \ud83d", "caf\udce9", 7)

    def test_a_megabyte_is_read_from_its_beginning(self, student: Student) -> None:
        rows = student.screen(["word " * 200_000])
        assert np.isfinite(student.embed(rows)).all()
        assert rows.status == [TRUNCATED]
        assert "were read" in rows.reason[0]

    def test_blanks_and_composition_change_nothing(self, student: Student, alone: dict[str, np.ndarray]) -> None:
        found = student.embed(student.screen([" play  some\tcafe\u0301 jazz\n"]))
        np.testing.assert_allclose(found[0], alone["play some café jazz"], rtol=0, atol=TOLERANCE)


class MoleculeStudentSuite(StudentSuite):
    """For students that read SMILES."""

    good = (
        "C",
        "[Na+].[Cl-]",
        "CC(=O)Oc1ccccc1C(=O)O",
        "C[C@H](N)C(=O)O",
        "C[C@@H](N)C(=O)O",
        "C/C=C/C(=O)O",
        "C/C=C\\C(=O)O",
        "[O-][N+](=O)c1ccc2[nH]ccc2c1",
        "C[N+](C)(C)CC([O-])=O",
        "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
        "CN1[C@H]2CC[C@@H]1[C@H]([C@H](C2)OC(=O)c1ccccc1)C(=O)OC",
        "[K+].CC(C)(C)[O-]",
        "O=C1CCCCCCCCCCCCCC1",
        "[2H]OP(=O)(O)C[Si](C)(C)B(O)O",
        "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC",
    )
    bad = (*StudentSuite.bad, "c1ccccc", "C(C)(C)(C)(C)C", "CCO name", "C" * 1001, "CC>>CC", "InChI=1S/CH4/h1H4")

    @several_classes
    @given(data=st.data())
    def test_atom_order_changes_nothing(
        self, student: Student, alone: dict[str, np.ndarray], data: st.DataObject
    ) -> None:
        """The same molecule written from another atom on, along another path."""
        smiles = data.draw(st.sampled_from(self.good))
        order = random_smiles(smiles, data.draw(st.integers(0, 2**31 - 1)))
        found = student.embed(student.screen([order]))[0]
        np.testing.assert_allclose(found, alone[smiles], rtol=0, atol=TOLERANCE, err_msg=order)


def random_smiles(smiles: str, seed: int) -> str:
    """The molecule of a SMILES, written from a random atom on, along a random path.

    Example:
        >>> random_smiles("CCO", 0) in {"CCO", "OCC", "C(C)O", "C(O)C"}
        True
    """
    from rdkit import Chem

    written: str = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 1, randomSeed=seed)[0]
    return written
