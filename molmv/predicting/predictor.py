"""A fitted property model: SMILES in; a prediction, its interval, and whether the molecule is like the known ones out.

On disk it is a folder like a student's: ``config.json`` and ``model.safetensors``, each with the hash of the other.
Nothing unpickles.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float64

from molmv.embedder import Embedder
from molmv.errors import CheckpointError, MolmvError, OutputError
from molmv.featurizing import featurize
from molmv.predicting.assay import CLASSIFICATION
from molmv.predicting.domain import Domain, fingerprints
from molmv.predicting.heads import HEADS, Scaler
from molmv.predicting.intervals import VennAbers
from molmv.predicting.selection import Model

if TYPE_CHECKING:
    import pandas as pd

    from molmv.student.checkpoint import Checkpoint

KIND, VERSION = "predictor", 1
FOLDER = "predictor"  # inside the folder of a fit
_STUDENT = "student"
_CALIBRATION = ("edges", "low", "high")


@dataclass
class Predictions:
    """Row i belongs to input row i, always; a refused row has NaN, and says why.

    Attributes:
        smiles: as given; None where there was no text.
        status: ``ok`` or why there is no prediction.
        reason: the same as a sentence.
        prediction: the value; in a classification the calibrated probability of the last of ``classes``.
        lower: end of the interval.
        upper: end of the interval.
        in_domain: whether the molecule is as similar to a training molecule as those behind the interval were.
        similarity: Tanimoto similarity to the nearest training molecule.
        classes: both labels of a classification; empty for a regression.
    """

    smiles: list[str | None]
    status: list[str]
    reason: list[str]
    prediction: Float64[np.ndarray, " n"]
    lower: Float64[np.ndarray, " n"]
    upper: Float64[np.ndarray, " n"]
    in_domain: Bool[np.ndarray, " n"]
    similarity: Float64[np.ndarray, " n"]
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.smiles)

    def columns(self) -> dict[str, Any]:
        """Everything but the row number, by name."""
        names = ("smiles", "status", "reason", "prediction", "lower", "upper", "in_domain", "similarity")
        return {name: getattr(self, name) for name in names}

    def to_frame(self) -> pd.DataFrame:
        """As a table, with the row number first."""
        import pandas

        return pandas.DataFrame({"row": np.arange(len(self)), **self.columns()})


@dataclass
class Predictor:
    """An embedder, a head on it, and what is known of the head's errors; made by :func:`molmv.fit`.

    Attributes:
        target: what is predicted.
        task: ``regression`` or ``classification``.
        classes: both labels; empty for a regression.
        embedder: turns SMILES into vectors.
        source: the embedder's name, or a checkpoint folder, which is copied on saving; empty for an object.
        model: the head.
        level: share of new values that the interval is to hold.
        width: half of it; 0 in a classification.
        calibration: of a classification.
        domain: the training molecules.
        provenance: how it was made and what it scored; JSON.
    """

    target: str
    task: str
    classes: tuple[str, ...]
    embedder: Embedder
    source: str
    model: Model
    level: float
    width: float
    calibration: VennAbers | None
    domain: Domain
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Predictor({self.target}, {self.task}, {self.model.kind} on {self.embedder.name})"

    def predict(self, smiles: Iterable[Any]) -> Predictions:
        """Predict for a list of SMILES.

        Raises:
            InputError: not a list.
        """
        embedded = featurize(smiles, self.embedder)
        good = np.flatnonzero(embedded.valid)
        bits = fingerprints([embedded.smiles[i] for i in good])
        for place in np.flatnonzero(~bits.valid):
            row = good[place]
            embedded.status[row], embedded.reason[row] = bits.status[place], bits.reason[place]
        good, seen = good[bits.valid], bits.X[bits.valid]
        nothing = np.full(len(embedded), np.nan)
        out = Predictions(
            smiles=embedded.smiles,
            status=embedded.status,
            reason=embedded.reason,
            prediction=nothing.copy(),
            lower=nothing.copy(),
            upper=nothing.copy(),
            in_domain=np.zeros(len(embedded), dtype=bool),
            similarity=nothing,
            classes=self.classes,
        )
        if len(good):
            out.prediction[good], out.lower[good], out.upper[good] = self.estimate(embedded.X[good])
            out.similarity[good], out.in_domain[good] = self.domain(seen)
        return out

    def estimate(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Prediction, lower and upper end for vectors ``(n, dim)`` of the embedder."""
        score = self.model.score(X)
        if self.calibration is not None:
            return self.calibration(score)
        return score, score - self.width, score + self.width

    def save(self, folder: str | Path) -> Path:
        """Write to a folder; an embedder that is a checkpoint of the user's is copied into it.

        Raises:
            OutputError: it cannot be written.
        """
        from torch import from_numpy

        from molmv.student.checkpoint import Checkpoint, save_checkpoint

        folder = Path(folder)
        arrays = {f"head.{name}": array for name, array in self.model.head.arrays().items()}
        if self.model.scaler:
            arrays |= {"scaler.mean": self.model.scaler.mean, "scaler.scale": self.model.scaler.scale}
        if self.calibration:
            arrays |= {f"calibration.{name}": getattr(self.calibration, name) for name in _CALIBRATION}
        arrays["domain.fingerprints"] = self.domain.fingerprints.view(np.int64)
        copied = _is_own(self.source)
        config = {
            "version": VERSION,
            "target": self.target,
            "task": self.task,
            "classes": list(self.classes),
            "embedder": {
                "source": _STUDENT if copied else self.source,
                "copied": copied,
                "name": self.embedder.name,
                "digest": self.embedder.digest,
                "dim": self.embedder.dim,
            },
            "head": self.model.kind,
            "parameters": dict(self.model.parameters),
            "level": self.level,
            "width": self.width,
            "threshold": self.domain.threshold,
        }
        tensors = {name: from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        try:
            save_checkpoint(Checkpoint(self.target, KIND, config, self.provenance, tensors), folder)
            if copied:
                shutil.copytree(self.source, folder / _STUDENT, dirs_exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder} cannot be written: {error.strerror or error}.") from error
        return folder


def load_predictor(path: str | Path, embedder: Embedder | None = None, device: str = "auto") -> Predictor:
    """Read a predictor that :func:`molmv.fit` or :meth:`Predictor.save` wrote.

    Args:
        path: its folder, or the folder of the fit.
        embedder: what it was fitted on, if that was an object and not a name.
        device: ``auto``, ``cpu``, ``cuda``, ….

    Raises:
        CheckpointError: no predictor, damaged, or fitted on another embedder than the one that is here.
        UnknownNameError, MissingExtraError, WeightsError: its embedder cannot be had; see :func:`molmv.load_embedder`.
    """
    from molmv.student.checkpoint import CONFIG, load_checkpoint

    folder = Path(path)
    if not (folder / CONFIG).is_file() and (folder / FOLDER / CONFIG).is_file():
        folder = folder / FOLDER
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"{path} is not a predictor: it holds no {CONFIG}.", "Give the folder of a molmv fit.")
    stored = load_checkpoint(folder)
    if stored.kind != KIND:
        raise CheckpointError(f"{folder} holds a {stored.kind!r}, not a predictor.", "Give the folder of a molmv fit.")
    if stored.config.get("version") != VERSION:
        raise CheckpointError(
            f"{folder} is version {stored.config.get('version')}, expected {VERSION}.", "Update molmv."
        )
    try:
        return _restored(stored, folder, embedder, device)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, MolmvError):
            raise
        raise CheckpointError(f"{folder / CONFIG} and its arrays do not fit together: {error!r}.") from error


def _restored(stored: Checkpoint, folder: Path, embedder: Embedder | None, device: str) -> Predictor:
    config = stored.config
    arrays = {name: tensor.numpy() for name, tensor in stored.weights.items()}
    kind = HEADS[config["head"]]
    scaler = Scaler(arrays["scaler.mean"], arrays["scaler.scale"]) if kind.standardise else None
    classify = config["task"] == CLASSIFICATION
    return Predictor(
        target=config["target"],
        task=config["task"],
        classes=tuple(config["classes"]),
        embedder=_embedder(config["embedder"], folder, embedder, device),
        source=str(folder / _STUDENT) if config["embedder"]["copied"] else config["embedder"]["source"],
        model=Model(config["head"], config["parameters"], scaler, kind.from_arrays(_part(arrays, "head"))),
        level=config["level"],
        width=config["width"],
        calibration=VennAbers(**_part(arrays, "calibration")) if classify else None,
        domain=Domain(arrays["domain.fingerprints"].view(np.uint64), config["threshold"]),
        provenance=stored.provenance,
    )


def _is_own(source: str) -> bool:
    """Whether the embedder is a checkpoint folder of the user's, which may not be there on another machine."""
    from molmv.cards import card_names
    from molmv.models import student_names

    return bool(source) and source not in (*student_names(), *card_names()) and Path(source).is_dir()


def _part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.partition(".")[2]: v for k, v in arrays.items() if k.startswith(f"{prefix}.")}


def _embedder(config: Mapping[str, Any], folder: Path, given: Embedder | None, device: str) -> Embedder:
    """The embedder that the head was fitted on, and no other."""
    from molmv.models import load_embedder, load_student

    if given is None and config["copied"]:
        given = load_student(folder / _STUDENT, device)
    elif given is None and config["source"]:
        given = load_embedder(config["source"], device)
    elif given is None:
        raise CheckpointError(f"{folder} was fitted on an object called {config['name']!r}.", "Give it as embedder=….")
    if (given.digest, given.dim) != (config["digest"], config["dim"]):
        raise CheckpointError(
            f"{folder} was fitted on {config['name']!r} with the digest {config['digest'][:12]}…, {config['dim']} "
            f"dimensions; what is here has {given.digest[:12]}…, {given.dim} dimensions.",
            "Use the version of molmv that its config names, or fit again.",
        )
    return given
