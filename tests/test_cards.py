"""Every card that ships is right, and every fault of a card is told with its place."""

import hashlib
from pathlib import Path

import pytest

from molmv import cards
from molmv.cards import ENCODING_OF, LIKELIHOODS, TeacherCard, Weights, load_card, read_card
from molmv.errors import CardError, UnknownNameError

GOOD = """\
name = "toy"
modality = "molecule"
adapter = "toys"
dim = 3
likelihood = "gaussian"

[weights]
pypi = "toys==1.0"
member = "toys/weights.bin"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

[options]
anything = 7

[provenance]
licence = "MIT"
trained_on = ["ZINC15"]
labels_seen = []
"""


def read(folder: Path, text: str) -> TeacherCard:
    path = folder / "toy.toml"
    path.write_text(text, encoding="utf-8")
    return read_card(path)


@pytest.mark.parametrize("name", cards.card_names())
def test_shipped_cards(name: str):
    card = load_card(name)
    assert card.name == name
    assert card.description
    assert card.dim > 0
    assert card.provenance.licence
    assert card.provenance.paper or card.provenance.homepage
    assert bool(card.provenance.trained_on) == (card.weights != Weights())


def test_a_good_card(tmp_path: Path):
    card = read(tmp_path, GOOD)
    assert (card.name, card.dim, card.canonicalise, card.path) == ("toy", 3, True, tmp_path / "toy.toml")
    assert card.options == {"anything": 7}
    assert card.weights.member == "toys/weights.bin"
    assert (card.provenance.trained_on, card.provenance.labels_seen) == (("ZINC15",), ())
    assert load_card(str(tmp_path / "toy.toml")) == card


HASH = "0123456789abcdef" * 4
PYPI = GOOD[GOOD.index("pypi") : GOOD.index("sha256")]
# what is replaced, by what, the line and the message
FAULTS = {
    "unknown key": ("dim = 3", "dims = 3", 4, "dims: unknown key; did you mean 'dim'?"),
    "key like none": ("dim = 3", "dim = 3\nzzz = 1", 5, "zzz: unknown key."),
    "unknown table": ("[options]", "[option]", 12, "option: unknown key; did you mean 'options'?"),
    "unknown key of weights": ("member =", "members =", 9, "members: unknown key; did you mean 'member'?"),
    "unknown key of provenance": ("licence =", "license =", 16, "license: unknown key; did you mean 'licence'?"),
    "its own path": ("dim = 3", 'dim = 3\npath = "x"', 5, "path: unknown key"),
    "text for a number": ("dim = 3", 'dim = "3"', 4, "dim: expected a whole number, found '3'."),
    "true for a number": ("dim = 3", "dim = true", 4, "dim: expected a whole number, found True."),
    "number for a text": ('"toys"', "7", 3, "adapter: expected a string, found 7."),
    "text for a truth": ("dim = 3", 'dim = 3\ncanonicalise = "no"', 5, "canonicalise: expected true or false"),
    "text for a list": ('["ZINC15"]', '"ZINC15"', 17, "trained_on: expected a list of strings, found 'ZINC15'."),
    "list of numbers": ('["ZINC15"]', "[15]", 17, "trained_on: expected a list of strings, found [15]."),
    "negative width": ("dim = 3", "dim = -3", 4, "dim: expected a width, or 0"),
    "no width": ("dim = 3\n", "", 1, "dim: is required."),
    "no licence": ('licence = "MIT"\n', "", 15, "licence: is required."),
    "no labels_seen": ("labels_seen = []\n", "", 15, "labels_seen: is required."),
    "no provenance": (GOOD[GOOD.index("[prov") :], "", 1, "provenance: a card needs a table with licence"),
    "no hash": (f'sha256 = "{HASH}"\n', "", 7, "sha256: weights need the SHA-256"),
    "short hash": (HASH, HASH[:-1], 10, "sha256: weights need the SHA-256"),
    "no source": ('pypi = "toys==1.0"\n', "", 7, "weights: expected one of source, pypi, hf and file."),
    "two sources": ("pypi =", 'hf = "a/b@c"\npypi =', 7, "weights: expected one of source, pypi, hf and file."),
    "wheel without member": ('member = "toys/weights.bin"\n', "", 7, "member: expected the path inside the wheel"),
    "member above": ("toys/weights.bin", "../weights.bin", 9, "member: '../weights.bin' leaves the wheel."),
    "member far above": ("toys/weights.bin", "toys/../../x", 9, "member: 'toys/../../x' leaves the wheel."),
    "member at the root": ("toys/weights.bin", "/etc/passwd", 9, "member: '/etc/passwd' leaves the wheel."),
    "member on a drive": ('"toys/weights.bin"', r"'C:\x'", 9, r"member: 'C:\\x' leaves the wheel."),
    "member above in Windows": ('"toys/weights.bin"', r"'a\..\..\x'", 9, r"leaves the wheel."),
    "more of a hub": (PYPI, 'hf = "a/b@c"\nmore.x = "y"\n', 9, "more: further files come from a wheel"),
    "more above": ("[options]", f'[weights.more]\n"../x" = "{HASH}"\n[options]', 7, "more: '../x' leaves the wheel."),
    "short hash of more": ("[options]", '[weights.more]\nx = "ab"\n[options]', 7, "more: weights need the SHA-256"),
    "likelihood": ('"gaussian"', '"gauss"', 5, "likelihood: expected one of gaussian, lowrank_gaussian, "),
    "encoding": ("dim = 3", 'dim = 3\nencoding = "bit"', 5, "encoding: expected one of float32, float16, bits"),
    "modality": ('"molecule"', '"protein"', 2, "modality: expected one of molecule, text, image, found 'protein'."),
    "name": ('"toy"', '"boy"', 1, "name: 'boy' should be the file's name, 'toy'."),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_card_line_and_key(fault: str, tmp_path: Path):
    old, new, line, message = FAULTS[fault]
    assert GOOD.count(old) == 1
    with pytest.raises(CardError) as caught:
        read(tmp_path, GOOD.replace(old, new))
    assert str(caught.value).startswith(f"{tmp_path / 'toy.toml'}, line {line}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("table", ["options", "weights", "provenance"])
def test_a_value_in_place_of_a_table(table: str, tmp_path: Path):
    top, *sections = GOOD.split("\n\n")
    rest = [section for section in sections if not section.startswith(f"[{table}]")]
    with pytest.raises(CardError, match=rf"line 6: {table}: expected a table, found 'none'\."):
        read(tmp_path, "\n\n".join([f'{top}\n{table} = "none"', *rest]))


def test_what_is_no_toml(tmp_path: Path):
    with pytest.raises(CardError, match=r"toy\.toml: not a readable TOML file: .*line 2"):
        read(tmp_path, 'name = "toy"\nmodality molecule\n')
    (tmp_path / "latin.toml").write_bytes('name = "é"'.encode("latin-1"))
    for path in (tmp_path / "latin.toml", tmp_path / "nowhere.toml", tmp_path):
        with pytest.raises(CardError, match="not a readable TOML file"):
            read_card(path)


@pytest.mark.parametrize(
    ("name", "hint"), [("minimal", "'minimol'"), ("ecpf", "'ecfp'"), ("zzzz", "`molmv teachers list`")]
)
def test_an_unknown_name_gets_a_hint(name: str, hint: str):
    with pytest.raises(UnknownNameError) as caught:
        load_card(name)
    assert name in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["../teachers/ecfp", "/ecfp", "", "."])
def test_a_name_is_no_path(name: str):
    with pytest.raises(UnknownNameError):
        load_card(name)


def test_the_digest_is_that_of_what_decides_the_vectors(tmp_path: Path):
    digest = read(tmp_path, GOOD).digest
    for same in (("ZINC15", "ZINC20"), ("MIT", "BSD-3-Clause"), ("dim = 3", 'dim = 3\ndescription = "a toy"')):
        assert read(tmp_path, GOOD.replace(*same)).digest == digest
    for other in (("dim = 3", "dim = 4"), ("anything = 7", "anything = 2024-01-01"), ("89abcdef0", "89abcdef1"),
                  ("dim = 3", "dim = 3\ncanonicalise = false")):  # fmt: skip
        assert read(tmp_path, GOOD.replace(*other)).digest != digest


def test_likelihoods_are_the_densities_and_can_be_built():
    density = pytest.importorskip("molmv.density")
    whole = {name for name, kind in density.DENSITIES.items() if kind.__module__ != "molmv.density.point"}
    assert set(LIKELIHOODS) == whole - {"beta_gaussian"}
    for name in LIKELIHOODS:
        density.make_density(name, 4, 6, hidden=8, depth=1)


def test_encodings_are_those_of_the_store():
    embeddings = pytest.importorskip("molmv.embeddings")
    assert set(cards.ENCODINGS) == set(embeddings.ENCODINGS)
    assert set(ENCODING_OF) <= set(LIKELIHOODS)
    assert set(ENCODING_OF.values()) <= set(cards.ENCODINGS)


@pytest.mark.parametrize(
    ("name", "likelihood", "encoding"),
    [
        ("skfp:ECFP", "bernoulli", "bits"),
        ("skfp:ECFP-count", "count", "uint16"),
        ("skfp:MQNs", "count", "uint16"),
        ("skfp:Mordred", "gaussian", "float32"),
        ("skfp:EState-count", "count", "uint16"),
    ],
)
def test_a_fingerprint_without_card(name: str, likelihood: str, encoding: str):
    card = load_card(name)
    assert (card.name, card.likelihood, card.store_encoding) == (name, likelihood, encoding)
    assert card.path is None


def test_a_file_of_your_own_tells_its_hash_and_not_its_place(tmp_path: Path):
    text = GOOD.replace('pypi = "toys==1.0"\nmember = "toys/weights.bin"', 'file = "a.npy"')
    (tmp_path / "a.npy").write_bytes(b"numbers")
    found = hashlib.sha256(b"numbers").hexdigest()
    with pytest.raises(CardError, match=rf'line 7: sha256: is missing; that of .*a\.npy is now sha256 = "{found}"'):
        read(tmp_path, text.replace(f'sha256 = "{HASH}"\n', ""))
    here = read(tmp_path, text)
    assert here.digest == read(tmp_path, text.replace("a.npy", "elsewhere/a.npy")).digest
    assert here.digest != read(tmp_path, text.replace(HASH, found)).digest


@pytest.mark.parametrize("place", ["member", "file"])
def test_an_ensemble_has_several_files(place: str, tmp_path: Path):
    text = GOOD.replace("[options]", f'[weights.more]\n"toys/b.bin" = "{HASH[::-1]}"\n\n[options]')
    if place == "file":
        text = text.replace('pypi = "toys==1.0"\nmember =', "file =")
    card, alone = read(tmp_path, text), read(tmp_path, GOOD)
    assert [getattr(one, place) for one in card.weights.each] == ["toys/weights.bin", "toys/b.bin"]
    assert [one.sha256 for one in card.weights.each] == [HASH, HASH[::-1]]
    assert {one.pypi for one in card.weights.each} == {card.weights.pypi}
    assert alone.weights.each == (alone.weights,)
    assert len({card.digest, alone.digest, read(tmp_path, text.replace(HASH[::-1], HASH)).digest}) == 3
