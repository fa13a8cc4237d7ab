"""Static tables against the mean written out, and the classic features against scikit-learn's own pipeline."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from text_models import static

from molmv.errors import CardError, InputError, WeightsError
from molmv.models import load_teacher
from molmv.rows import ERROR
from molmv.testing.adapter import TEXT_SPELLINGS, TextAdapterSuite

pytest.importorskip("tokenizers", reason="tokenizers is not installed")
TEXTS = list(TEXT_SPELLINGS)


class TestTinyTable(TextAdapterSuite):
    packages = ("tokenizers",)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def model(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("hub")
        cls.teacher_name = str(static(folder))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MOLMV_MIRROR", str(folder))
            yield


def test_the_mean_of_weighted_rows(tmp_path: Path, monkeypatch):
    import tokenizers

    monkeypatch.setenv("MOLMV_MIRROR", str(tmp_path))
    size = tokenizers.Tokenizer.from_file(
        str(static(tmp_path).parent / "org" / "tiny" / "tokenizer.json")
    ).get_vocab_size()
    weights, mapping = torch.rand(size), torch.randperm(size)
    path = static(tmp_path, weights=weights, mapping=mapping)
    place = tmp_path / "org" / "tiny"
    read, table = tokenizers.Tokenizer.from_file(str(place / "tokenizer.json")), load_file(place / "model.safetensors")
    teacher = load_teacher(str(path))
    for text, found in zip(TEXTS, teacher.embed(teacher.screen(TEXTS)), strict=True):
        mean = sum(
            table["embeddings"][mapping[i]] * weights[i] for i in read.encode(text, add_special_tokens=False).ids
        )
        np.testing.assert_allclose(found, mean / mean.norm(), atol=1e-5)


def test_a_text_of_unknown_letters_has_no_vector(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MOLMV_MIRROR", str(tmp_path))
    teacher = load_teacher(str(static(tmp_path)))
    rows = teacher.screen(["ჟღ", "card"])
    X = teacher.embed(rows)
    assert (rows.status[0], rows.reason[0]) == (ERROR, "tiny: not a token of it is in its vocabulary")
    assert np.isnan(X[0]).all()
    assert np.isfinite(X[1]).all()


def test_a_table_that_does_not_fit(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MOLMV_MIRROR", str(tmp_path))
    with pytest.raises(WeightsError, match="its vocabulary has"):
        load_teacher(str(static(tmp_path, embeddings=torch.zeros(3, 32))))


class TestHashedNgrams(TextAdapterSuite):
    teacher_name = "hashed-ngrams"
    packages = ("sklearn",)


CORPUS = [f"{what} of {whose} {thing}" for what in "colour size price".split() for whose in "my your".split()
          for thing in "card car house film".split()]  # fmt: skip


def tfidf(folder: Path, texts: list[str], **changes: object) -> Path:
    corpus, path = folder / "corpus.txt", folder / "lsa.toml"
    corpus.write_text("\n".join(texts) + "\n")
    options = {"corpus": "corpus.txt", "corpus_sha256": hashlib.sha256(corpus.read_bytes()).hexdigest(),
               "components": 5, **changes}  # fmt: skip
    path.write_text(
        'name = "lsa"\nmodality = "text"\nadapter = "tfidf_svd"\ndim = 0\nlikelihood = "gaussian"\nextra = "text"\n'
        + "[options]\n"
        + "".join(f"{key} = {value!r}\n" for key, value in options.items() if value is not None)
        + '[provenance]\nlicence = "MIT"\ntrained_on = []\nlabels_seen = []\n'
    )
    return path


class TestTfidfSvd(TextAdapterSuite):
    packages = ("sklearn",)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def model(cls, tmp_path_factory):
        cls.teacher_name = str(tfidf(tmp_path_factory.mktemp("lsa"), [*TEXTS, *TEXTS, *CORPUS, "word"]))


def test_cosines_are_those_of_the_reduced_matrix(tmp_path: Path):
    from sklearn.feature_extraction.text import TfidfVectorizer

    draw = np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(12)])
    texts = [" ".join(draw.choice(words, draw.integers(3, 9), p=draw.dirichlet(np.ones(12)))) for _ in range(60)]
    teacher = load_teacher(str(tfidf(tmp_path, texts, components=8)))
    X = teacher.embed(teacher.screen(texts))
    M = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit_transform(texts).toarray()
    U, s, _ = np.linalg.svd(M)
    expected = U[:, :8] * s[:8]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(X @ X.T, expected @ expected.T, atol=0.05)  # a random method


def test_what_tfidf_cannot_be_fitted_to(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be fitted"):
        load_teacher(str(tfidf(tmp_path, ["one text"])))
    with pytest.raises(CardError, match="corpus_sha256 its SHA-256"):
        load_teacher(str(tfidf(tmp_path, CORPUS, corpus_sha256=None)))
    with pytest.raises(WeightsError, match="is not the file of its card"):
        load_teacher(str(tfidf(tmp_path, CORPUS, corpus_sha256="0" * 64)))
    with pytest.raises(CardError, match="components: expected a whole number above 0; found 0"):
        load_teacher(str(tfidf(tmp_path, CORPUS, components=0)))
