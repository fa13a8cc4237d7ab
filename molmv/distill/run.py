"""One distillation from config to student: open, fit standardisers, train or resume, export."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger
from safetensors.torch import save_file

from molmv.density import DENSITIES
from molmv.device import multiplies_bfloat16, pick_device
from molmv.distill.config import DistillConfig
from molmv.distill.data import DistillData, fit_standardiser, open_stores, split_rows
from molmv.distill.module import DistillModule
from molmv.embeddings import EmbeddingStore
from molmv.errors import ConfigError, OutputError, StoreError
from molmv.loss import MajorityVoteLoss, TeacherSpec
from molmv.student import StudentKind
from molmv.student.checkpoint import Checkpoint, save_checkpoint

CHECKPOINTS = "checkpoints"


def distill(
    config: DistillConfig, *, resume: bool = False, loggers: Sequence[Logger] = (), progress: bool = False
) -> Path:
    """Train a student on the stores of its teachers.

    The run's folder gets ``checkpoints/``, ``log/`` (CSV), ``heads.safetensors`` (loss heads and standardisers),
    ``summary.json`` (final held-out numbers) and ``student/``, which ``molmv featurize --model`` takes.

    Args:
        config: see :func:`molmv.distill.config.read_config`.
        resume: continue from the newest whole checkpoint of the same config; start if there is none.
        loggers: Lightning loggers besides the CSV one.
        progress: show a progress bar.

    Returns:
        The student's folder.

    Raises:
        StoreError: stores that are missing, damaged, or not about the corpus' rows.
        ConfigError: values that do not fit the data, or a checkpoint of another config.
        OutputError: the run's folder holds a run, and ``resume`` is not set.
    """
    output = Path(config.output)
    newest = _newest_checkpoint(output / CHECKPOINTS)
    if newest and not resume:
        raise OutputError(f"{output} holds a run already.", "Add --resume to continue it, or name another output.")
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    lightning.seed_everything(config.seed, verbose=False)

    student = StudentKind.of(config.student)
    stores = open_stores(Path(config.data.stores), config.teachers)
    inputs = student.read_corpus(Path(config.data.corpus))
    rows = _usable_rows(inputs.usable, stores, config)
    split = split_rows(rows, config.data.held_out, config.seed)
    if len(split.train) < config.train.batch_size:
        raise ConfigError(f"train.batch_size: {config.train.batch_size} is more than the {len(split.train)} rows.")
    module = _build(config, student, stores, split.train)
    data = DistillData(inputs, stores, split, config.train.batch_size, config.seed)
    if newest:
        data.training.start = _check_checkpoint(newest, config)

    trainer = _trainer(config, output, data.training.start, loggers, progress)
    with warnings.catch_warnings():
        # Batches are slices of arrays in memory: more workers would only copy them.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        trainer.fit(module, data, ckpt_path=newest, weights_only=True)
    if trainer.interrupted or trainer.global_step < config.train.steps:
        raise KeyboardInterrupt
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        (final,) = trainer.validate(module, data, verbose=False)
    return _export(config, output, module, student, stores, split.train, final)


def _usable_rows(usable: np.ndarray, stores: dict[str, EmbeddingStore], config: DistillConfig) -> np.ndarray:
    """Rows with an input that at least one teacher knows."""
    for store in stores.values():
        if len(store) != len(usable):
            raise StoreError(
                f"{store.path} has {len(store)} rows, {config.data.corpus} has {len(usable)}.",
                "Embed this corpus with `molmv teachers embed`.",
            )
    known = np.logical_or.reduce([store.valid for store in stores.values()])
    usable = usable & known
    if config.data.rows:
        usable = usable & (np.arange(len(usable)) < config.data.rows)
    return usable


def _build(
    config: DistillConfig, student: StudentKind, stores: dict[str, EmbeddingStore], rows: np.ndarray
) -> DistillModule:
    network = student.make()
    standardisers, specs = {}, {}
    for name, store in stores.items():
        likelihood = store.header.likelihood
        standardisers[name] = fit_standardiser(store, rows, DENSITIES[likelihood].scaling)
        if not standardisers[name].out_dim:
            raise ConfigError(f"Teacher {name!r} is constant on this corpus.", "Leave it out.")
        specs[name] = TeacherSpec(standardisers[name].out_dim, likelihood)
    loss = config.loss
    heads = MajorityVoteLoss(
        specs,
        network.config.embedding,  # type: ignore[union-attr,arg-type]
        weights=loss.weights,  # type: ignore[arg-type]
        objective=loss.objective,  # type: ignore[arg-type]
        noise=loss.noise,
        hidden=loss.hidden,
        depth=loss.depth,
        teacher_dropout=loss.teacher_dropout,
    )
    return DistillModule(network, heads, standardisers, config.train, config.digest, config.seed)


def _trainer(
    config: DistillConfig, output: Path, start: int, loggers: Sequence[Logger], progress: bool
) -> lightning.Trainer:
    train = config.train
    device = pick_device(train.device)
    half = train.precision == "bf16" or train.precision == "auto" and multiplies_bfloat16(device)
    callbacks: list[Callback] = [
        ModelCheckpoint(
            output / CHECKPOINTS,
            filename="{step:08d}",
            auto_insert_metric_name=False,
            monitor="step",
            mode="max",
            save_top_k=2,  # should the machine die while it writes one, the other is whole
            every_n_train_steps=train.checkpoint_every,
            save_on_train_epoch_end=False,
        )
    ]
    if progress:
        callbacks.append(TQDMProgressBar(refresh_rate=10))
    log = CSVLogger(output, name="log", version=f"from-step-{start}")
    return lightning.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if half else "32-true",
        max_steps=train.steps,
        val_check_interval=train.validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=[log, *loggers],
        log_every_n_steps=min(50, train.steps),
        callbacks=callbacks,
        enable_progress_bar=progress,
        enable_model_summary=False,
    )


def _newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that can be read; a later one that was cut off is passed over."""
    for path in sorted(folder.glob("*.ckpt"), reverse=True):
        try:
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (RuntimeError, OSError, EOFError):
            continue
        return path
    return None


def _check_checkpoint(path: Path, config: DistillConfig) -> int:
    """The step of a checkpoint of this very config."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if checkpoint.get("config_digest") != config.digest:
        raise ConfigError(f"{path} was made with another config.", "Name another output, or restore the config.")
    return int(checkpoint["global_step"])


def _export(
    config: DistillConfig,
    output: Path,
    module: DistillModule,
    student: StudentKind,
    stores: dict[str, EmbeddingStore],
    rows: np.ndarray,
    final: dict[str, Any],
) -> Path:
    provenance = {
        "corpus": {"sha256": next(iter(stores.values())).header.corpus, "rows": len(rows)},
        "teachers": {name: dict(store.header.provenance) for name, store in stores.items()},
        "config": config.as_dict(),
        "held_out": {k.removeprefix("held_out/"): round(float(v), 5) for k, v in final.items()},
        "versions": {"torch": torch.__version__, "lightning": lightning.__version__},
    }
    checkpoint = Checkpoint(config.name, student.kind, dict(student.sizes), provenance, module.student.state_dict())
    save_checkpoint(checkpoint, output / "student")
    heads = {**module.loss.state_dict(prefix="loss."), **module.standardisers.state_dict(prefix="standardisers.")}
    save_file({k: v.contiguous().cpu() for k, v in heads.items()}, output / "heads.safetensors")
    (output / "summary.json").write_text(json.dumps(provenance["held_out"], indent=1) + "\n")
    return output / "student"
