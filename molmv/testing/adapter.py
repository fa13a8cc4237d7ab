"""What every teacher does, whatever is inside, as tests to inherit.

A new adapter is tested by one class in a test file::

    class TestMyTeacher(AdapterSuite):
        teacher_name = "my-teacher"          # or the path of its card
        packages = ("my_package",)           # what it needs beyond molmv's core

The molecules and their other spellings are written down here, so that the suite needs no chemistry of its own. A
teacher of another modality also names what it must embed, what it must refuse, and how else the former can be written:
``good``, ``bad`` and ``respelt``; for one of texts :class:`TextAdapterSuite` does.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molmv.cards import load_card
from molmv.errors import MissingExtraError, TeacherError
from molmv.models import load_teacher
from molmv.rows import OK, TRUNCATED
from molmv.teacher import Teacher

#: Molecules that every teacher must embed, each with another order of its atoms.
SPELLINGS = {
    "CC(=O)Oc1ccccc1C(=O)O": "OC(=O)c1c(OC(C)=O)cccc1",  # aspirin
    "CN1C=NC2=C1C(=O)N(C)C(=O)N2C": "O=C1N(C)c2ncn(C)c2C(=O)N1C",  # caffeine
    "C[C@H](N)C(=O)O": "OC(=O)[C@H](C)N",  # D-alanine
    "CCO": "OCC",
    "Clc1ccc(Cl)cc1": "c1(Cl)ccc(Cl)cc1",
    "CC(C)Cc1ccc(cc1)C(C)C(=O)O": "C(c1ccc(C(C)C(O)=O)cc1)C(C)C",  # ibuprofen
}
MOLECULES = tuple(SPELLINGS)
BAD = (None, "", "CC(", "C(C)(C)(C)(C)C", "CCO ethanol", "CC>>CC")
#: Texts that every teacher of texts must embed, each as another file may hold it.
TEXT_SPELLINGS = {
    "Where is my card?": "  Where is my card?\n",
    "The film was a slow, dull and painful affair.": "The film was a slow, dull and painful affair.\x00",
    "play some café jazz by Zoë": "play some cafe\u0301 jazz by Zoe\u0308",
    "card": "\ufeffcard",
    "How do I merge two dictionaries in Python? I tried update() and it did not do what I want.": (
        "How do I merge two dictionaries in Python? I tried update() and it did not do what I want.  "
    ),
}
BAD_TEXTS = (None, "", " \t ", "\x07\x1b", float("nan"), 7, "half a pair \ud83d", "caf\udce9")


class AdapterSuite:
    """The life of a teacher: loaded by its name, on the CPU, without a network."""

    #: What :func:`molmv.models.load_teacher` takes: a name, or the path of a card.
    teacher_name: ClassVar[str]
    #: Modules that it needs beyond molmv's core; without any of them it must raise MissingExtraError.
    packages: ClassVar[tuple[str, ...]] = ()
    #: Inputs that it must embed, and tell apart; at least three.
    good: ClassVar[Sequence[Any]] = MOLECULES
    #: Inputs that it must refuse.
    bad: ClassVar[Sequence[Any]] = BAD
    #: Other spellings of the good inputs, in their order, with the same vectors; empty if there are none.
    respelt: ClassVar[Sequence[Any]] = tuple(SPELLINGS.values())
    #: Allowed difference of a vector between batches, relative and absolute.
    tolerance: ClassVar[float] = 1e-4

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def attempts(cls) -> Iterator[list[str]]:
        """Attempts to reach the network; each of them fails."""
        seen: list[str] = []

        def refuse(*where: Any, **_: Any) -> None:
            seen.append(repr(where))
            raise OSError("tests use no network")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket.socket, "connect", refuse)
            patch.setattr(socket.socket, "connect_ex", refuse)
            patch.setattr(socket, "getaddrinfo", refuse)
            yield seen

    @pytest.fixture(scope="class")
    @classmethod
    def teacher(cls, attempts: list[str]) -> Teacher:
        return load_teacher(cls.teacher_name, device="cpu")

    @pytest.fixture(scope="class")
    @classmethod
    def vectors(cls, teacher: Teacher) -> dict[Any, np.ndarray]:
        """The vector of each good input, from one batch."""
        return dict(zip(cls.good, embed(teacher, cls.good, cls.bad), strict=True))

    def close(self, found: np.ndarray, expected: Any) -> None:
        np.testing.assert_allclose(found, expected, rtol=self.tolerance, atol=self.tolerance)

    def test_vectors_are_finite_and_as_wide_as_declared(self, teacher: Teacher, vectors: dict[Any, np.ndarray]) -> None:
        assert teacher.dim > 0
        assert load_card(self.teacher_name).dim in (0, teacher.dim)
        for vector in vectors.values():
            assert vector.shape == (teacher.dim,)
            assert vector.dtype == np.float32
            assert np.isfinite(vector).all()

    def test_it_tells_inputs_apart(self, vectors: dict[Any, np.ndarray]) -> None:
        assert len({vector.tobytes() for vector in vectors.values()}) > 1

    @pytest.mark.parametrize("rows", ["none", "one", "one bad", "all bad"])
    def test_few_rows(self, rows: str, teacher: Teacher, vectors: dict[Any, np.ndarray]) -> None:
        values = {"none": [], "one": self.good[:1], "one bad": self.bad[:1], "all bad": self.bad}[rows]
        found = embed(teacher, values, self.bad)
        assert found.shape == (len(values), teacher.dim)
        self.close(found, expected_rows(values, vectors, teacher.dim))

    # A method that several classes inherit has several "executors"; that is the point here.
    @settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(data=st.data())
    def test_rows_never_shift(self, data: st.DataObject, teacher: Teacher, vectors: dict[Any, np.ndarray]) -> None:
        values = data.draw(st.lists(st.sampled_from([*self.good, *self.bad]), max_size=8))
        self.close(embed(teacher, values, self.bad), expected_rows(values, vectors, teacher.dim))

    @pytest.mark.parametrize("batch_size", [1, 2, 5])
    def test_batches_do_not_matter(self, batch_size: int, teacher: Teacher, vectors: dict[Any, np.ndarray]) -> None:
        batched = Teacher(teacher.card, teacher.adapter, batch_size)
        self.close(embed(batched, self.good, self.bad), list(vectors.values()))

    def test_spelling_does_not_matter(self, teacher: Teacher, vectors: dict[Any, np.ndarray]) -> None:
        if not self.respelt:
            pytest.skip("each input has one spelling")
        self.close(embed(teacher, self.respelt, self.bad), list(vectors.values()))

    def test_a_second_load_is_the_same_offline(self, attempts: list[str], vectors: dict[Any, np.ndarray]) -> None:
        again = load_teacher(self.teacher_name, device="cpu")
        np.testing.assert_array_equal(embed(again, self.good, self.bad), list(vectors.values()))
        assert attempts == []

    def test_missing_packages_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if not self.packages:
            pytest.skip("needs no package of its own")
        for package in self.packages:
            with monkeypatch.context() as patch:
                patch.setitem(sys.modules, package, None)
                with pytest.raises(MissingExtraError, match="pip install") as caught:
                    load_teacher(self.teacher_name, device="cpu")
            assert f"[{load_card(self.teacher_name).extra}]" in caught.value.hint

    def test_a_lost_row_is_an_error(self, teacher: Teacher) -> None:
        forgetful = Teacher(teacher.card, _Forgetful(teacher), batch_size=3)
        with pytest.raises(TeacherError, match=r"given 3 \w+ and returned an array of shape \(2, "):
            embed(forgetful, self.good[:3], self.bad)


class TextAdapterSuite(AdapterSuite):
    """The same for teachers of texts."""

    good = tuple(TEXT_SPELLINGS)
    bad = BAD_TEXTS
    respelt = tuple(TEXT_SPELLINGS.values())

    def test_a_megabyte_is_read_from_its_beginning(self, teacher: Teacher) -> None:
        rows = teacher.screen(["word " * 200_000])
        assert np.isfinite(teacher.embed(rows)).all()
        assert rows.status == [TRUNCATED]
        assert "were read" in rows.reason[0]


def embed(teacher: Teacher, values: Sequence[Any], bad: Sequence[Any] = BAD) -> np.ndarray:
    """Vectors of inputs, one a row; checks that refused rows are told apart, and they alone have no vector."""
    rows = teacher.screen(values)
    found = teacher.embed(rows)
    assert len(found) == len(rows) == len(values)
    np.testing.assert_array_equal(np.isfinite(found).all(axis=1), rows.valid)
    np.testing.assert_array_equal(np.isnan(found).all(axis=1), ~rows.valid)
    for value, status, reason in zip(values, rows.status, rows.reason, strict=True):
        assert (status != OK) == bool(reason) == (value in bad), f"{value!r}: {status}, {reason!r}"
    return found


def expected_rows(values: Sequence[Any], vectors: Mapping[Any, np.ndarray], dim: int) -> np.ndarray:
    """What a teacher with these vectors must say of some rows."""
    nothing = np.full(dim, np.nan, dtype=np.float32)
    return np.array([vectors.get(value, nothing) for value in values]).reshape(len(values), dim)


class _Forgetful:
    """A teacher's adapter that loses the last row."""

    def __init__(self, teacher: Teacher) -> None:
        self.dim, self._adapter = teacher.dim, teacher.adapter
        self.takes_parsed = getattr(teacher.adapter, "takes_parsed", False)

    def embed_batch(self, inputs: Sequence[Any]) -> np.ndarray:
        return self._adapter.embed_batch(inputs)[:-1]
