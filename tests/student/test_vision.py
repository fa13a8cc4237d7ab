"""The image student: the suite, its sizes, and that it learns."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import molmv
from molmv import images
from molmv.distill.config import DataConfig, DistillConfig, LossConfig, TrackingConfig, TrainConfig
from molmv.embed_corpus import embed_corpus
from molmv.errors import ConfigError
from molmv.images import IMAGE
from molmv.models import load_student
from molmv.student import KINDS
from molmv.student.checkpoint import Checkpoint, save_checkpoint
from molmv.student.vision import VisionConfig, make_encoder, read_corpus
from molmv.table import open_table
from molmv.testing.images import bad_images, encoded, good_images, picture
from molmv.testing.student import StudentSuite

pytest.importorskip("PIL", reason="needs molmv[image]")

TINY = {"size": 16, "patch": 2, "widths": [8, 16], "embedding": 12}


class TestVisionStudent(StudentSuite):
    good, bad = good_images(), bad_images()

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("student")
        encoder = make_encoder(TINY)
        save_checkpoint(Checkpoint("tiny", "vision", vars(encoder.config), {}, encoder.state_dict()), folder)
        return folder


@pytest.mark.parametrize("pooling", ["mean", "grid"])
def test_default_sizes(pooling: str):
    encoder = make_encoder({"pooling": pooling}).eval()
    pixels = torch.zeros(3, 32, 32, 3, dtype=torch.uint8)
    assert encoder(pixels).shape == (3, 256)
    assert 300_000 < sum(p.numel() for p in encoder.parameters()) < 1_000_000


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"size": 30}, "size: expected a multiple of 8"),
        ({"size": 1024}, "size"),
        ({"widths": []}, "widths"),
        ({"widths": [8, 0]}, "widths"),
        ({"widths": [8] * 9}, "widths"),
        ({"widths": [10**9]}, "widths"),
        ({"blocks": 1000}, "blocks"),
        ({"pooling": "max"}, "pooling"),
        ({"embedding": 0}, "embedding"),
        ({"patch": True}, "patch"),
        ({"width": [8]}, "unknown key 'width'"),
    ],
)
def test_impossible_sizes(sizes: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        make_encoder(sizes)


def test_the_kind_reads_images():
    assert KINDS["vision"].modality == "image"
    assert VisionConfig(size=64, patch=4).side == 4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 images, two of which cannot be read."""
    path = tmp_path_factory.mktemp("corpus") / "images.parquet"
    data = [encoded(picture(seed, 20, 20)) for seed in range(600)]
    data[3], data[70] = b"junk", None
    pq.write_table(pa.table({"image": pa.array(data, pa.binary())}), path)
    return path


def test_a_corpus_is_squares(corpus: Path):
    inputs = read_corpus(corpus, TINY)
    assert np.flatnonzero(~inputs.usable).tolist() == [3, 70]
    expected = images.squares([np.asarray(picture(5, 20, 20))], 16)
    np.testing.assert_array_equal(inputs.batch(np.array([5, 3]))[0], expected[0])


def test_it_learns_from_a_store(corpus: Path, tmp_path: Path):
    """The same verb as for molecules, and the student then knows more of its teacher than before."""
    embed_corpus("colour-statistics", open_table(corpus, modality=IMAGE), tmp_path / "stores" / "colour-statistics")
    config = DistillConfig(
        name="pupil",
        output=str(tmp_path / "run"),
        teachers=("colour-statistics",),
        data=DataConfig(str(corpus), str(tmp_path / "stores"), held_out=0.2),
        student={"kind": "vision", **TINY},
        loss=LossConfig(hidden=32, depth=1),
        train=TrainConfig(steps=200, batch_size=64, learning_rate=5e-3, threads=1, precision="32"),
        tracking=TrackingConfig(mlflow=False),
    )
    student = load_student(molmv.distill(config))
    held_out = student.provenance["held_out"]
    assert held_out["r2/colour-statistics"] > 0.05  # who knows nothing but the mean has 0
    (found,) = student.embed(student.screen([encoded(picture(5, 20, 20))]))
    assert np.isfinite(found).all()
