"""``distill.toml``, parsed once into frozen dataclasses."""

from __future__ import annotations

import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from molmv.density import DENSITIES
from molmv.documents import parse_toml, read_text
from molmv.errors import ConfigError, did_you_mean
from molmv.names import is_name

WEIGHTINGS = ("per_dimension", "uniform", "learnt", "balanced")
SCALINGS = ("auto", "scale", "whiten", "identity")
#: Losses of the paper (arXiv 2510.18680) as its authors ran them: heads of two layers; its L2 and cosine baselines on
#: raw vectors, without normalisation. Keys beside ``preset`` overrule it.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {"objective": "gaussian", "noise": 0.0, "hidden": 512, "depth": 2},
    "paper-l2": {"objective": "mse", "scaling": "identity", "hidden": 512, "depth": 2},
    "paper-cosine": {"objective": "cosine", "scaling": "identity", "hidden": 512, "depth": 2},
}
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class DataConfig:
    """What to learn from.

    Attributes:
        corpus: file of inputs, the one that the stores were embedded from.
        stores: folder with one store for each teacher, named after it.
        held_out: share of the rows kept for validation, never trained on.
        rows: use only the first so many rows; 0 = all.
    """

    corpus: str
    stores: str
    held_out: float = 0.02
    rows: int = 0


@dataclass(frozen=True)
class LossConfig:
    """Arguments of :class:`molmv.loss.MajorityVoteLoss`, and how its targets are standardised.

    The defaults are those that ``benchmarks/losses.py`` chose: every teacher a standardised vector of real numbers, its
    information bounded by noise of one standard deviation.

    In a file ``preset`` names one of :data:`PRESETS` to start from.

    Attributes:
        objective: one density in ``molmv.density.DENSITIES`` for all teachers, ``gaussian`` or a baseline on the same
            heads (``mse``, ``cosine``, ``smooth_l1_cosine``); or ``nll``, each teacher's own likelihood.
        likelihoods: table teacher -> name in ``molmv.density.DENSITIES``, instead of the one on its card.
        scaling: how teachers are standardised: ``auto`` as each density asks (bits and counts are left alone), or one
            of ``scale``, ``whiten`` and ``identity`` for all (:class:`molmv.standardise.Standardiser`).
        weights: ``per_dimension``, ``uniform``, ``learnt``, ``balanced``, or a table teacher -> weight.
        noise: σ₀ through which continuous teachers are seen.
        hidden: width of the heads.
        depth: hidden layers of the heads.
        teacher_dropout: chance that a teacher is left out of a step.
    """

    objective: str = "gaussian"
    likelihoods: Mapping[str, str] = field(default_factory=dict)
    scaling: str = "auto"
    weights: str | Mapping[str, float] = "per_dimension"
    noise: float = 1.0
    hidden: int = 512
    depth: int = 2
    teacher_dropout: float = 0.0


@dataclass(frozen=True)
class TrainConfig:
    """How to learn.

    Attributes:
        steps: optimiser steps in all.
        minutes: the schedule ends when this time is over, should the steps not be done by then; 0 = no limit. With a
            limit a second run is not the same: how many steps it takes depends on the machine. A resumed run has as
            long again.
        batch_size: rows in a step.
        learning_rate: its peak; cosine decay to zero after the warm-up.
        warmup: share of the steps with a linearly rising learning rate.
        weight_decay: AdamW's, on matrices only.
        clip: largest norm of the gradient.
        precision: ``auto`` (bf16 where the device multiplies in it), ``bf16`` or ``32``.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads of a process; 0 = torch's choice, shared among the processes of a machine.
        processes: that train together on this machine, on a GPU each or on its CPU; a batch is shared out among them.
        validate_every: steps between validations.
        checkpoint_every: steps between checkpoints.
        start: folder of a student of the same sizes (or of its run) to go on from, or nothing. Linear heads begin at a
            regression on its embedding, others anew.
        keep: share of that student's weights in the one that comes out, the rest being those at the end of the training
            (:mod:`molmv.distill.weight_average`); 0 = the end. A finished run that is resumed with another share is
            exported with that one.
    """

    steps: int
    minutes: float = 0.0
    batch_size: int = 512
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 1e-4
    clip: float = 1.0
    precision: str = "auto"
    device: str = "auto"
    threads: int = 0
    processes: int = 1
    validate_every: int = 500
    checkpoint_every: int = 500
    start: str = ""
    keep: float = 0.0

    @property
    def log_every(self) -> int:
        """Steps between two rows of the log."""
        return min(50, self.steps)


@dataclass(frozen=True)
class InformationConfig:
    """The estimate of what the student holds of each teacher, in nats, at the end (:mod:`molmv.distill.information`).

    Attributes:
        rows: held-out rows to make it of, at most; 0 = leave it out. Without 100 of them it is left out too.
        components: of a teacher, at most.
    """

    rows: int = 2000
    components: int = 32


@dataclass(frozen=True)
class TrackingConfig:
    """Where to log.

    Attributes:
        mlflow: log to MLflow; without it only the run's own folder is written.
        uri: a tracking server or folder; empty = the user's default, or ``mlruns.db`` beside the run.
        experiment: name of the experiment.
    """

    mlflow: bool = True
    uri: str = ""
    experiment: str = "molmv-distill"


@dataclass(frozen=True)
class DistillConfig:
    """A distillation.

    Attributes:
        name: of the student.
        output: folder of the run: checkpoints, log, the student.
        teachers: names of the stores to learn from.
        data, loss, train, information, tracking: see their classes.
        student: ``kind`` and the fields of its config, e.g. of :class:`molmv.student.gine.GineConfig`.
        seed: of initialisation and shuffling.
    """

    name: str
    output: str
    teachers: tuple[str, ...]
    data: DataConfig
    train: TrainConfig
    student: Mapping[str, Any] = field(default_factory=lambda: {"kind": "gine"})
    loss: LossConfig = LossConfig()
    information: InformationConfig = InformationConfig()
    tracking: TrackingConfig = TrackingConfig()
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain nested dictionaries."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """SHA-256 of what decides the training; a resumed run must have the same."""
        decisive = self.as_dict()
        for name in ("tracking", "information", "output"):
            decisive.pop(name)
        for name in ("device", "threads", "processes", "validate_every", "checkpoint_every", "keep"):
            decisive["train"].pop(name)
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def read_config(path: Path) -> DistillConfig:
    """Read and validate a ``distill.toml``. Relative paths in it count from the working directory.

    Raises:
        ConfigError: unreadable file, unknown or missing key, wrong type, impossible value; names the key.
    """
    try:
        table = parse_toml(read_text(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error
    if isinstance(table.get("loss"), dict):
        table["loss"] = _with_preset(table["loss"], str(path))
    return config_of(table, str(path))


def config_of(table: Mapping[str, Any], where: str) -> DistillConfig:
    """Validate the tables of a config, as read from TOML or made by :meth:`DistillConfig.as_dict`.

    Raises:
        ConfigError: unknown or missing key, wrong type, impossible value; ``where`` and the key are named.
    """
    config: DistillConfig = _build(DistillConfig, table, where)
    _check_values(config, where)
    return config


def _with_preset(loss: Mapping[str, Any], where: str) -> dict[str, Any]:
    own = dict(loss)
    preset = own.pop("preset", None)
    if preset is None:
        return own
    if preset not in PRESETS:
        raise ConfigError(f"{where}: loss.preset: expected one of {', '.join(PRESETS)}; found {preset!r}.")
    return {**PRESETS[preset], **own}


def _build(kind: type, table: Any, where: str) -> Any:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: expected a table, found {table!r}.")
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in hints:
            raise ConfigError(f"{where}: unknown key {key!r}.", did_you_mean(key, hints))
        values[key] = _convert(hints[key], value, f"{where}: {key}")
    missing = [f.name for f in fields(kind) if f.name not in values and _required(f)]
    if missing:
        raise ConfigError(f"{where}: {', '.join(missing)} must be given.")
    return kind(**values)


def _required(item: Any) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _convert(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return _build(hint, value, where)  # type: ignore[arg-type]
    origin = typing.get_origin(hint)
    if origin is tuple:
        if isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
            return tuple(value)
        raise ConfigError(f"{where}: expected a list of strings, found {value!r}.")
    if origin is types.UnionType:
        kinds: tuple[Any, ...] = tuple(typing.get_origin(h) or h for h in typing.get_args(hint))
    else:
        kinds = (origin or hint,)
    if kinds == (float,) and type(value) is int:
        return float(value)
    if isinstance(value, bool) != (bool in kinds) or not isinstance(value, kinds):
        names = " or ".join("a table" if k is Mapping else k.__name__ for k in kinds)
        raise ConfigError(f"{where}: expected {names}, found {value!r}.")
    return value


def _check_values(config: DistillConfig, where: str) -> None:
    train, data, loss = config.train, config.data, config.loss
    checks = [
        (0 <= config.seed <= LARGEST_SEED, "seed", f"0 … {LARGEST_SEED}"),
        (len(set(config.teachers)) == len(config.teachers), "teachers", "every teacher once"),
        (train.steps > 0, "train.steps", "more than 0"),
        (0 <= train.minutes < math.inf, "train.minutes", "0 or more, and finite"),
        (train.batch_size > 0, "train.batch_size", "more than 0"),
        (0 < train.learning_rate < math.inf, "train.learning_rate", "more than 0, and finite"),
        (0 <= train.weight_decay < math.inf, "train.weight_decay", "0 or more, and finite"),
        (0 <= train.warmup < 1, "train.warmup", "0 … 1"),
        (train.clip > 0, "train.clip", "more than 0"),
        (train.precision in ("auto", "bf16", "32"), "train.precision", "auto, bf16 or 32"),
        (train.device in ("auto", "cpu", "cuda"), "train.device", "auto, cpu or cuda"),
        (train.threads >= 0, "train.threads", "0 or more"),
        (0 < train.processes <= train.batch_size, "train.processes", "1 … train.batch_size"),
        (train.processes == 1 or loss.weights != "balanced", "train.processes", "1 with loss.weights = balanced"),
        (train.validate_every > 0, "train.validate_every", "more than 0"),
        (train.checkpoint_every > 0, "train.checkpoint_every", "more than 0"),
        (0 <= train.keep < 1, "train.keep", "0 or more, and less than 1"),
        (not train.keep or bool(train.start), "train.keep", "0 without train.start"),
        (config.information.rows >= 0, "information.rows", "0 or more"),
        (config.information.components > 0, "information.components", "more than 0"),
        (0 < data.held_out < 1, "data.held_out", "between 0 and 1"),
        (data.rows >= 0, "data.rows", "0 or more"),
        (loss.objective in ("nll", *DENSITIES), "loss.objective", f"one of nll, {', '.join(DENSITIES)}"),
        (set(loss.likelihoods) <= set(config.teachers), "loss.likelihoods", "teachers of this config"),
        (set(loss.likelihoods.values()) <= set(DENSITIES), "loss.likelihoods", f"values among {', '.join(DENSITIES)}"),
        (loss.scaling in SCALINGS, "loss.scaling", f"one of {', '.join(SCALINGS)}"),
        (_fit(loss.weights, config.teachers), "loss.weights", f"{', '.join(WEIGHTINGS)}, or one for each teacher"),
        (0 <= loss.noise < math.inf, "loss.noise", "0 or more, and finite"),
        (loss.hidden > 0, "loss.hidden", "more than 0"),
        (loss.depth >= 0, "loss.depth", "0 or more"),
        (0 <= loss.teacher_dropout < 1, "loss.teacher_dropout", "0 … 1"),
        (is_name(config.name), "name", "a name without '/'"),
        (all(map(is_name, config.teachers)), "teachers", "names of stores, no paths"),
        ("kind" in config.student, "student", 'a kind, e.g. kind = "gine"'),
    ]
    for good, key, expected in checks:
        if not good:
            raise ConfigError(f"{where}: {key}: expected {expected}; found {attrgetter(key)(config)!r}.")


def _fit(weights: str | Mapping[str, Any], teachers: tuple[str, ...]) -> bool:
    """Whether the weights are known, or name every teacher with a finite number of at least 0."""
    if isinstance(weights, str):
        return weights in WEIGHTINGS
    numbers = all(type(weight) in (int, float) and 0 <= weight < math.inf for weight in weights.values())
    return numbers and set(weights) == set(teachers)
