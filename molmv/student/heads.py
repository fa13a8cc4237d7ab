r"""The heads of a student: what it expects its teachers to say of a molecule, and how sure it is.

Two files, in the folder of the run that trained them, or beside a student's weights: ``heads.safetensors`` (heads of
the loss and standardisers) and ``heads.json``, which says how to rebuild them, and names the student that they belong
to and the hash of the other file. A student works without them; they are several times its size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.distributions import Distribution

from molmv.atomic import replacing
from molmv.density import DENSITIES, Density, make_density
from molmv.errors import CheckpointError, ConfigError, MolmvError, UnknownNameError
from molmv.loss import MajorityVoteLoss
from molmv.standardise import Standardiser
from molmv.student.checkpoint import config_digest, read_verified, restore

FORMAT = 1
SPEC, TENSORS = "heads.json", "heads.safetensors"
CHUNK = 1024


def save_heads(
    folder: Path, loss: MajorityVoteLoss, standardisers: Mapping[str, Standardiser], student_digest: str
) -> None:
    """Write both files; the spec last.

    Args:
        folder: of the run.
        loss: trained heads.
        standardisers: of every teacher of the loss.
        student_digest: SHA-256 of the weights of the student that they were trained with.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    teachers = {}
    for i, (name, standardiser) in enumerate(standardisers.items()):
        head = loss.head(name)
        tensors |= head.state_dict(prefix=f"heads.{i}.")
        tensors |= standardiser.state_dict(prefix=f"standardisers.{i}.")
        teachers[name] = {**_spec(head), "raw_dim": standardiser.dim, "scaling": standardiser.mode}
    data = save({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()})
    content = {
        "format": FORMAT,
        "student": student_digest,
        "digest": hashlib.sha256(data).hexdigest(),
        "embedding": loss.embedding_dim,
        "teachers": teachers,
    }
    content["config_digest"] = config_digest(content)
    for name, written in ((TENSORS, data), (SPEC, (json.dumps(content, indent=1) + "\n").encode())):
        with replacing(folder / name) as temporary:
            temporary.write_bytes(written)


def _spec(head: Density) -> dict[str, Any]:
    """Arguments of :func:`molmv.density.make_density` that rebuild a head."""
    (likelihood,) = (known for known, kind in DENSITIES.items() if type(head) is kind)
    return {
        "likelihood": likelihood,
        "out_dim": head.dim,
        "noise": float(getattr(head, "noise", 0.0)),
        "hidden": head.trunk.out_dim,
        "depth": len(head.trunk.linears),
    }


def find_heads(student_folder: Path) -> Path | None:
    """The folder that has the heads of a student: its own, or that of the run around it."""
    return next((f for f in (student_folder, student_folder.parent) if (f / SPEC).is_file()), None)


@dataclass(frozen=True)
class TeacherPrediction:
    """What a student expects a teacher to say, in the teacher's own units; row i is input row i.

    Attributes:
        mean: expected value (of a bit: its probability); NaN where the row was refused.
        sd: standard deviation of the teacher's value around it, without the noise of the loss; zero in columns that
            were too constant in training to be learnt. NaN where the row was refused, and
            for a head that predicts a point only (``mse``, ``cosine``, ``power_spherical``).
        status: of each row, as in :class:`molmv.rows.Rows`.
        reason: why a row was refused.
    """

    mean: Float32[np.ndarray, "n dim"]
    sd: Float32[np.ndarray, "n dim"]
    status: list[str]
    reason: list[str]


class Heads:
    """The heads of one student, rebuilt from a folder.

    Args:
        folder: with ``heads.json`` and ``heads.safetensors``.
        student_digest: SHA-256 of the weights of the student that will use them.

    Attributes:
        teachers: names of the teachers.

    Raises:
        CheckpointError: a file is missing, damaged, exchanged, or of another student; the message names it.
    """

    def __init__(self, folder: Path, student_digest: str) -> None:
        content, tensors = _read(folder, student_digest)
        self._heads: dict[str, Density] = {}
        self._standardisers: dict[str, Standardiser] = {}
        try:
            self.teachers = tuple(content["teachers"])
            for i, (name, spec) in enumerate(content["teachers"].items()):
                sizes = {key: spec[key] for key in ("likelihood", "out_dim", "noise", "hidden", "depth")}
                own = _below(tensors, f"heads.{i}.")
                if not 0 <= sizes["depth"] <= len(own):  # a block has weights
                    raise CheckpointError(f"{name}: {sizes['depth']} blocks, {len(own)} weights.")
                self._heads[name] = restore(partial(make_density, in_dim=content["embedding"], **sizes), own).eval()
                self._standardisers[name] = Standardiser(spec["raw_dim"], spec["scaling"])
                self._standardisers[name].load_state_dict(_below(tensors, f"standardisers.{i}."))
                if len(self._standardisers[name].constant) != spec["raw_dim"]:
                    raise CheckpointError(f"{name}: another width than {spec['raw_dim']}.")
        except (MolmvError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise CheckpointError(f"{folder / SPEC} and {TENSORS} do not fit together: {error}") from error

    def check_teacher(self, name: str) -> None:
        """Refuse a teacher without a head.

        Raises:
            UnknownNameError: no head of that name.
        """
        if name not in self.teachers:
            raise UnknownNameError(f"No head for a teacher {name!r}.", f"There are: {', '.join(self.teachers)}.")

    def predict(
        self, name: str, z: Float[Tensor, "n embedding"]
    ) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "n dim"]]:
        """Mean and standard deviation of a teacher's vector in its own units, (n, raw dim) each.

        Raises:
            UnknownNameError: no head of that name.
        """
        self.check_teacher(name)
        standardiser = self._standardisers[name]
        means, sds = [], []
        for q in self._distributions(name, z):
            means.append(standardiser.inverse(q.mean))
            variance = _variance(q)
            unknown = torch.full_like(means[-1], torch.nan)
            sds.append(unknown if variance is None else standardiser.inverse_sd(variance.sqrt()))
        return torch.cat(means), torch.cat(sds)

    def linear(self, name: str) -> tuple[Float[Tensor, "dim embedding"], Float[Tensor, " dim"]]:
        """M and b of a linear head that expects M z + b of its teacher, or that direction of a density of directions.

        Raises:
            UnknownNameError: no head of that name.
            ConfigError: a head with hidden layers.
        """
        self.check_teacher(name)
        head, inverse = self._heads[name], self._standardisers[name].inverse
        if len(head.trunk.linears):
            raise ConfigError(f"The head of {name!r} is not linear.", "Train the student with loss.depth = 0.")
        with torch.inference_mode():
            weight, bias = head.readout.weight[: head.dim], head.readout.bias[None, : head.dim]
            b = inverse(bias)
            return (inverse(weight.T + bias) - b).T.clone(), b[0].clone()

    def uncertainty(self, z: Float[Tensor, "n embedding"]) -> Float[Tensor, " n"]:
        r"""What share of the continuous teachers' variance the student expects not to know of each molecule, (n,).

        .. math:: u(z) = \frac1K \sum_k \frac{1}{d_k} \sum_i s^2_{ki}(z),

        with :math:`s^2` the predicted variance of standardised dimension i of teacher k, without the noise of the loss:
        near 0 for a molecule whose teachers are predicted well; 1 is no better than the mean of the training corpus.

        Raises:
            ConfigError: no head predicts the variance of a continuous teacher.
        """
        shares = []
        for name in self.teachers:
            if self._standardisers[name].mode != "identity":  # bits and counts are not in units of their spread
                variances = [v for q in self._distributions(name, z) if (v := _variance(q)) is not None]
                shares += [torch.cat([v.mean(1) for v in variances])] if variances else []
        if not shares:
            raise ConfigError(
                f"None of the heads ({', '.join(self.teachers)}) predicts the variance of a continuous teacher.",
                "Use a student that was distilled with one, e.g. rdkit-descriptors, and the objective nll.",
            )
        return torch.stack(shares).mean(0)

    def _distributions(self, name: str, z: Tensor) -> Iterator[Distribution]:
        with torch.inference_mode():
            for chunk in z.split(CHUNK):
                yield self._heads[name](chunk)


def _variance(q: Distribution) -> Tensor | None:
    """Variance of a teacher's standardised values without the noise of the loss; None for a point."""
    try:
        variance: Tensor = getattr(q, "clean", q).variance
    except NotImplementedError:
        return None
    return variance


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _read(folder: Path, student_digest: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    content, tensors = read_verified(folder / SPEC, folder / TENSORS, FORMAT, "heads of format")
    if content.get("student") != student_digest:
        raise CheckpointError(
            f"{folder / SPEC} belongs to another student.", "Use the heads of the run that made this one."
        )
    return content, tensors
