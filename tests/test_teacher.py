"""A teacher is foreign code: whatever it does, no row shifts, and only the culprits are refused."""

from collections.abc import Sequence

import numpy as np
import pytest

from molmv.adapters import FAMILIES, load_teacher
from molmv.cards import Provenance, TeacherCard, load_card
from molmv.embedder import Embedder
from molmv.errors import CardError, TeacherError
from molmv.rows import EMPTY, ERROR, INVALID, OK, TRUNCATED, Rows, row_keys
from molmv.teacher import Teacher

SMILES = ["CCO", "CC(", "c1ccccc1", "", "CCN", "CCF"]


def lengths(smiles: Sequence[str]) -> np.ndarray:
    return np.array([[len(s), s.count("C")] for s in smiles], dtype=float)


def run(function, values: Sequence[str | None] = SMILES, batch_size: int = 256, **options) -> tuple[np.ndarray, Rows]:
    teacher = Teacher.from_callable(function, 2, "toy", **options)
    teacher.batch_size = batch_size
    rows = teacher.screen(values)
    return teacher.embed(rows), rows


def test_a_function_is_a_teacher():
    found, rows = run(lengths)
    assert isinstance(Teacher.from_callable(lengths, 2, "toy"), Embedder)
    nan = np.nan
    np.testing.assert_array_equal(found, [[3, 2], [nan, nan], [8, 0], [nan, nan], [3, 2], [3, 2]])
    assert found.dtype == np.float32
    assert rows.status == [OK, INVALID, OK, EMPTY, OK, OK]


@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_remarks_mark_rows_with_a_vector_and_explain_those_without(batch_size: int):
    class Adapter:
        dim = 2

        def embed_batch(self, inputs: Sequence[str]) -> np.ndarray:
            return np.where([[s == "CCF"] for s in inputs], np.nan, lengths(inputs))

        def remarks(self, inputs: Sequence[str]) -> dict[int, str]:
            said = {"c1ccccc1": "the end is missing", "CCF": "no fluorine"}
            return {i: said[s] for i, s in enumerate(inputs) if s in said}

    card = Teacher.from_callable(lengths, 2, "toy").card
    teacher = Teacher(card, Adapter(), batch_size)
    rows = teacher.screen(["CCO", "CC(", "c1ccccc1", "", "CCN", "FCC"])
    found, hashes = teacher.embed_with_keys(rows)
    assert rows.status == [OK, INVALID, TRUNCATED, EMPTY, OK, ERROR]
    assert (rows.reason[2], rows.reason[5]) == ("toy: the end is missing", "toy: no fluorine")
    assert rows.valid.tolist() == np.isfinite(found).all(axis=1).tolist() == (hashes != 0).tolist()
    assert rows.valid.tolist() == [True, False, True, False, True, False]


@pytest.mark.parametrize(("canonicalise", "given"), [(True, ["CCO", "CCO"]), (False, ["OCC", "C(O)C"])])
def test_canonical_smiles_or_those_of_the_user(canonicalise: bool, given: list[str]):
    seen: list[str] = []

    def record(smiles: Sequence[str]) -> np.ndarray:
        seen.extend(smiles)
        return lengths(smiles)

    run(record, ["OCC", " C(O)C "], canonicalise=canonicalise)
    assert seen == given


def test_keys_are_those_of_the_canonical_smiles_and_zero_where_refused():
    def dislikes_nitrogen(smiles: Sequence[str]) -> np.ndarray:
        return np.where(np.array([["N" in s] for s in smiles]), np.nan, lengths(smiles))

    teacher = Teacher.from_callable(dislikes_nitrogen, 2, "toy", canonicalise=False)
    rows = teacher.screen(["OCC", "CC(", "NCC"])
    np.testing.assert_array_equal(teacher.embed_with_keys(rows)[1], [*row_keys(["CCO"]), 0, 0])


@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_a_failure_costs_its_row_and_no_other(batch_size: int):
    def fails_on_benzene(smiles: Sequence[str]) -> np.ndarray:
        if "c1ccccc1" in smiles:
            raise ValueError("no rings,\n  please")
        return lengths(smiles)

    found, rows = run(fails_on_benzene, batch_size=batch_size)
    assert rows.status == [OK, INVALID, ERROR, EMPTY, OK, OK]
    assert rows.reason[2] == "toy: ValueError: no rings, please"
    np.testing.assert_array_equal(found[[0, 4, 5]], [[3, 2]] * 3)
    assert np.isnan(found[2]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_refused_with_a_reason(bad: float):
    def odd(smiles: Sequence[str]) -> np.ndarray:
        values = lengths(smiles)
        values[[s == "CCN" for s in smiles], 1] = bad
        return values

    found, rows = run(odd)
    assert rows.status[4] == ERROR
    assert rows.reason[4] == "toy has no vector for this molecule"
    assert np.isnan(found[4]).all()
    assert np.isfinite(found[[0, 2, 5]]).all()


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda smiles: lengths(smiles)[:-1], "(3, 2)"),
        (lambda smiles: lengths([*smiles, "C"]), "(5, 2)"),
        (lambda smiles: lengths(smiles)[:1], "(1, 2)"),
        (lambda smiles: lengths(smiles)[:, :1], "(4, 1)"),
        (lambda smiles: lengths(smiles)[:, 0], "(4,)"),
        (lambda smiles: None, "()"),
    ],
)
def test_an_array_of_another_shape_stops_the_run(function, shape: str):
    """One row would broadcast, silently, to all."""
    with pytest.raises(TeacherError) as caught:
        run(function)
    assert f"'toy' was given 4 molecules and returned an array of shape {shape}; expected (4, 2)" in str(caught.value)


def test_what_the_user_interrupts_stops():
    def interrupted(smiles: Sequence[str]) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted)


@pytest.mark.parametrize("values", [[], [None], ["CC(", ""]])
def test_nothing_to_embed_asks_nothing_of_the_adapter(values: list[str | None]):
    def never(smiles: Sequence[str]) -> np.ndarray:
        raise AssertionError

    found, rows = run(never, values)
    assert found.shape == (len(values), 2)
    assert np.isnan(found).all()
    assert ERROR not in rows.status


class Toy:
    """An adapter."""

    dim = 2

    def __init__(self, card: TeacherCard, *, device: str = "cpu") -> None:
        if card.options.get("broken"):
            raise OSError("no such\nfile")

    def embed_batch(self, inputs: Sequence[str]) -> np.ndarray:
        return lengths(inputs)


def toy(monkeypatch: pytest.MonkeyPatch, **changes) -> TeacherCard:
    monkeypatch.setitem(FAMILIES, "toys", f"{__name__}:Toy")
    fields = {"name": "toy", "modality": "molecule", "adapter": "toys", "dim": 2, "likelihood": "gaussian"}
    return TeacherCard(**{**fields, "provenance": Provenance("MIT", ("ZINC",), ()), **changes})


def test_a_card_of_another_width_is_refused(monkeypatch: pytest.MonkeyPatch):
    assert load_teacher(toy(monkeypatch, dim=0)).dim == 2
    with pytest.raises(TeacherError, match="'toy': its card says 3 dimensions, it has 2"):
        load_teacher(toy(monkeypatch, dim=3))


def test_a_teacher_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(TeacherError, match=r"'toy' cannot be loaded: OSError: no such file$"):
        load_teacher(toy(monkeypatch, options={"broken": True}))


def test_an_unknown_adapter_lists_the_known(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(CardError, match=r"'toy': no adapter is called 'tois'.*fingerprints"):
        load_teacher(toy(monkeypatch, adapter="tois"))


def test_provenance_travels(monkeypatch: pytest.MonkeyPatch):
    teacher = load_teacher(toy(monkeypatch))
    assert teacher.provenance == {"teacher": "toy", "licence": "MIT", "trained_on": ["ZINC"]}
    assert teacher.digest == teacher.card.digest != load_card("ecfp").digest
