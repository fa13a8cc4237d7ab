"""MTEB runs our text models on tasks made here, without a network, and finds the scores that we find."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from molmv.errors import InputError
from molmv.models import load_teacher
from molmv.student import StudentKind
from molmv.student.checkpoint import Checkpoint, save_checkpoint
from molmv.student.tokens import FILE, train_vocabulary

mteb = pytest.importorskip("mteb", reason="mteb is not installed: pip install 'molmv[mteb]'")

from datasets import Dataset, DatasetDict  # noqa: E402
from mteb.abstasks.classification import AbsTaskClassification  # noqa: E402
from mteb.abstasks.sts import AbsTaskSTS  # noqa: E402
from mteb.abstasks.task_metadata import TaskMetadata  # noqa: E402

from molmv.mteb_model import MtebModel  # noqa: E402

FIRST = ["a man plays a guitar", "the cat sleeps", "a plane is taking off", "two dogs run in the snow"]
SECOND = ["a man plays the guitar", "the cat is sleeping", "an onion is cut", "stock markets fell on Monday"]
SCORES = [5.0, 4.0, 0.5, 0.0]
INTENTS = {0: ["my card is lost", "where is my card", "block my card"], 1: ["the rate is high", "which rate"]}


def described(kind: str, score: str) -> TaskMetadata:
    return TaskMetadata(
        name=f"Local{kind}",
        description="Some rows of this test.",
        dataset={"path": "none", "revision": "none"},
        type=kind,
        category="t2c" if kind == "Classification" else "t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score=score,
        bibtex_citation="",
    )


class LocalSTS(AbsTaskSTS):
    metadata = described("STS", "cosine_spearman")

    def load_data(self, **_: object) -> None:
        rows = Dataset.from_dict({"sentence1": FIRST, "sentence2": SECOND, "score": SCORES})
        self.dataset, self.data_loaded = DatasetDict({"test": rows}), True


class LocalClassification(AbsTaskClassification):
    metadata = described("Classification", "accuracy")
    samples_per_label, n_experiments = 2, 2

    def load_data(self, **_: object) -> None:
        rows = [(text, label) for label, texts in INTENTS.items() for text in texts]
        part = Dataset.from_dict({"text": [text for text, _ in rows], "label": [label for _, label in rows]})
        self.dataset, self.data_loaded = DatasetDict({"train": part, "test": part}), True


def evaluated(model: MtebModel, task: object) -> dict[str, float]:
    result = mteb.evaluate(model, task, cache=None, show_progress_bar=False, co2_tracker=False)
    assert result.model_name == model.mteb_model_meta.name
    return result.task_results[0].scores["test"][0]


@pytest.fixture(scope="module")
def model() -> MtebModel:
    return MtebModel("hashed-ngrams")


def test_it_finds_the_correlation_that_we_find(model: MtebModel):
    teacher = load_teacher("hashed-ngrams")
    a, b = (teacher.embed(teacher.screen(texts)) for texts in (FIRST, SECOND))
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    scores = evaluated(model, LocalSTS())
    assert scores["cosine_spearman"] == pytest.approx(spearmanr(cosines, SCORES)[0])
    assert scores["main_score"] > 0


def test_it_classifies(model: MtebModel):
    assert evaluated(model, LocalClassification())["accuracy"] > 0.6


def test_a_text_without_a_vector_is_zero_and_said(model: MtebModel):
    with pytest.warns(UserWarning, match="1 texts have no vector and count as 0; the first: empty text"):
        X = model.encode([{"text": ["a card", ""]}, {"text": ["a rate"]}])
    assert X.shape == (3, model.model.dim)
    assert np.isfinite(X).all()
    assert X.any(1).tolist() == [True, False, True]
    assert model.encode([]).shape == (0, model.model.dim)


def test_name_and_weights_are_told(model: MtebModel):
    meta = model.mteb_model_meta
    assert (meta.name, meta.revision, meta.embed_dim) == ("molmv/hashed-ngrams", model.model.digest, model.model.dim)


def test_a_model_of_molecules_is_refused():
    with pytest.raises(InputError, match="modality molecule"):
        MtebModel("maccs")


def test_a_student_is_loaded_from_its_folder(tmp_path: Path):
    sizes = {"vocabulary": 300, "embedding": 16}
    network = StudentKind("static_text", sizes).make()
    files = {FILE: train_vocabulary(FIRST + SECOND, 300)}
    weights = network.state_dict()
    save_checkpoint(Checkpoint("tiny", "static_text", vars(network.config), {}, weights, files=files), tmp_path)
    assert np.isfinite(list(evaluated(MtebModel(str(tmp_path)), LocalSTS()).values())[:8]).all()
