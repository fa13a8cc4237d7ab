"""Heads begin at rows that their teacher knows, and at the embeddings of these rows."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_distillation import World, write_stores

from molmv.density import Density
from molmv.distill import distill, heads_begin
from molmv.embeddings import EmbeddingStore
from molmv.models import load_student


@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_a_teacher_of_few_rows_gives_as_many_as_the_others(
    fresh_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: float
):
    fresh_world.valid["bits"][35:] = False
    shutil.rmtree(fresh_world.stores)
    write_stores(fresh_world)
    linear = {"depth": 0}
    distill(fresh_world.config(tmp_path / "first", loss=linear, train={"steps": 1}))
    monkeypatch.setattr(heads_begin, "ROWS", 12)
    monkeypatch.setattr(heads_begin, "MORE_ROWS", 12)
    begun: dict[str, list] = {}
    begin = Density.begin

    def spy(head: Density, z: torch.Tensor, values: torch.Tensor) -> bool:
        begun.setdefault(type(head).__name__, []).append((z, values))
        return begin(head, z, values)

    monkeypatch.setattr(Density, "begin", spy)
    start = {"start": str(tmp_path / "first"), "steps": 1, "keep": keep}
    distill(fresh_world.config(tmp_path / "on", loss=linear, train=start))
    student = load_student(tmp_path / "first", device="cpu")
    embedded = np.nan_to_num(student.embed(fresh_world.rows), nan=np.inf)  # refused rows are near nothing
    for name, kind in (("real", "GaussianDensity"), ("bits", "BernoulliDensity")):
        assert [len(z) for z, _ in begun[kind]] == [12] * (2 if keep else 1)
        z, values = begun[kind][0]
        apart = np.abs(embedded[:, None] - z.numpy()).max(2)
        rows = apart.argmin(0)
        assert apart.min(0).max() < 1e-4
        assert fresh_world.valid[name][rows].all()
        if name == "bits":  # as they are but for constant columns; the others are standardised
            varying = np.delete(fresh_world.values[name], EmbeddingStore(fresh_world.stores / name).constant, axis=1)
            assert np.array_equal(values.numpy(), varying[rows])
