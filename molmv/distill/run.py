"""One distillation from config to student: open, fit standardisers, train or resume, export."""

from __future__ import annotations

import json
import logging
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.utilities import rank_zero_only

from molmv import folder
from molmv.atomic import replacing, writing_to
from molmv.density import DENSITIES
from molmv.device import multiplies_bfloat16, pick_device
from molmv.distill.checkpoints import WholeCheckpoints
from molmv.distill.config import DistillConfig, config_of
from molmv.distill.data import DistillData, Inputs, fit_standardiser, open_stores, split_rows
from molmv.distill.heads_begin import begin_heads, fit_heads
from molmv.distill.information import TeacherInformation, held_out_information, save_information
from molmv.distill.interrupts import TermIsInterrupt, plain_interrupts
from molmv.distill.module import DistillModule
from molmv.distill.processes import Member, together
from molmv.distill.resident import settle
from molmv.distill.weight_average import average_weights
from molmv.embeddings import EmbeddingStore
from molmv.errors import CheckpointError, ConfigError, InputError, OutputError, StoreError
from molmv.hashing import sha256
from molmv.locking import locked_folder
from molmv.loss import MajorityVoteLoss, TeacherSpec
from molmv.student import StudentKind
from molmv.student.checkpoint import CONFIG, Checkpoint, load_checkpoint, save_checkpoint
from molmv.student.heads import save_heads

CHECKPOINTS, STUDENT = "checkpoints", "student"
# Lightning's news of itself, and advice that does not hold here: batches are slices of arrays in memory, which more
# workers would only copy, and a resumed run starts its data at the right step by itself.
_CHATTER = (
    ".*does not have many workers.*",
    ".*your dataloader is not resumable.*",
    ".*LeafSpec.*is deprecated.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*Experiment logs directory .* exists and is not empty.*",
    "The dirpath has changed from .*",
    "Be aware that when using `ckpt_path`, .*",
    "`broadcast_buffers` is deprecated.*",
    # Numbers are averaged over the processes before they are logged.
    r"It is recommended to use `self\.log\(.*sync_dist=True\)`.*",
    # Held-out rows are shared out by us, none twice.
    ".*it is recommended to use `Trainer\\(devices=1, num_nodes=1\\)`.*",
)


@contextmanager
def _without_chatter() -> Iterator[None]:
    loggers = {name: logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")}
    levels = {name: logger.level for name, logger in loggers.items()}
    try:
        for logger in loggers.values():
            logger.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            for message in _CHATTER:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for name, logger in loggers.items():
            logger.setLevel(levels[name])


def _alone(train: Callable[..., Path]) -> Callable[..., Path]:
    """Refuse a second run on one output; the ranks of one run are one."""

    @wraps(train)
    def locked(config: DistillConfig, **options: Any) -> Path:
        output = Path(config.output)
        with nullcontext() if rank_zero_only.rank or output.is_file() else locked_folder(output), writing_to(output):
            return train(config, **options)

    return locked


@_alone
@_without_chatter()
def distill(
    config: DistillConfig, *, resume: bool = False, loggers: Iterable[Logger] = (), progress: bool = False
) -> Path:
    """Train a student on the stores of its teachers.

    The run's folder gets ``checkpoints/``, ``log/`` (CSV), ``heads.json`` and ``heads.safetensors`` (loss heads and
    standardisers), ``summary.json`` (final held-out numbers), ``information.json`` (nats held of each teacher) and
    ``student/``, which ``molmv featurize --model`` takes.

    Args:
        config: see :func:`molmv.distill.config.read_config`.
        resume: continue from the newest whole checkpoint of the same config; start if there is none.
        loggers: Lightning loggers besides the CSV one; asked for when everything else is ready.
        progress: show a progress bar.

    Returns:
        The student's folder.

    Raises:
        StoreError: stores that are missing, damaged, or not about the corpus' rows.
        InputError: the corpus cannot be read, or the device is not there.
        ConfigError: values that do not fit the data, or a checkpoint of another config.
        ProcessError: one of several processes died.
        OutputError: the run's folder is a file, or holds a run and ``resume`` is not set.
        KeyboardInterrupt: it was interrupted; the checkpoints so far are kept.
    """
    output = Path(config.output)
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file.", "Name a folder as output.")
    if not resume and (any((output / CHECKPOINTS).glob("*.ckpt")) or (output / STUDENT / CONFIG).exists()):
        raise OutputError(f"{output} holds a run already.", "Add --resume to continue it, or name another output.")
    newest = _newest_checkpoint(output / CHECKPOINTS)
    start = _check_checkpoint(newest, config) if newest else 0
    device = pick_device(config.train.device).type
    job = {"config": config.as_dict(), "newest": str(newest or ""), "start": start}
    with together(config.train.processes, device, job) as member:
        made = _train(config, newest, start, member, loggers if member.number == 0 else (), progress)
    return made or output / STUDENT


@_without_chatter()
def train_along(job: Mapping[str, Any], member: Member) -> None:
    """The part of a process that :func:`molmv.distill.processes.together` has started."""
    newest = Path(job["newest"]) if job["newest"] else None
    _train(config_of(job["config"], "config"), newest, int(job["start"]), member, (), False)


def _train(
    config: DistillConfig, newest: Path | None, start: int, member: Member, loggers: Iterable[Logger], progress: bool
) -> Path | None:
    """Everything from the stores to the student, as one of several processes; only the first writes."""
    _share_threads(config.train.threads, pick_device(config.train.device), member)
    lightning.seed_everything(config.seed, verbose=False)

    student = StudentKind.of(config.student)
    network = student.make()
    earlier = _start_from(config.train.start, student, network) if config.train.start else None
    stores = open_stores(Path(config.data.stores), config.teachers)
    check_corpus(Path(config.data.corpus), stores)
    inputs = student.read_corpus(Path(config.data.corpus))
    loggers = loggers if member.number == 0 else ()
    return train_on(config, student, network, inputs, stores, newest, start, member, loggers, progress, earlier)


def train_on(
    config: DistillConfig,
    student: StudentKind,
    network: torch.nn.Module,
    inputs: Inputs,
    stores: Mapping[str, EmbeddingStore],
    newest: Path | None = None,
    start: int = 0,
    member: Member = Member(),  # noqa: B008 (it is frozen)
    loggers: Iterable[Logger] = (),
    progress: bool = False,
    earlier: Checkpoint | None = None,
) -> Path | None:
    """Train a network on inputs and stores that are open already, wherever they are.

    Args:
        config: see :func:`molmv.distill.config.read_config`; its paths of corpus and stores are not read.
        student: what the network is.
        network: what is trained.
        inputs: of every row of the corpus.
        stores: of the teachers, of the same rows.
        newest: a checkpoint to continue from.
        start: its step.
        member: which of several processes this is.
        loggers: Lightning loggers besides the CSV one.
        progress: show a progress bar.
        earlier: the student whose weights the network has.

    Returns:
        The student's folder; None in all processes but the first.

    Raises:
        ConfigError: values that do not fit the data.
    """
    output, device = Path(config.output), pick_device(config.train.device)
    rows = usable_rows(inputs.usable, stores, config)
    split = split_rows(rows, config.data.held_out, config.seed)
    if len(split.train) < config.train.batch_size:
        raise ConfigError(f"train.batch_size: {config.train.batch_size} is more than the {len(split.train)} rows.")
    module = _build(config, network, stores, split.train)
    if earlier and not newest:
        begin_heads(module, inputs, stores, split.train, config.seed)
    data = DistillData(*settle(inputs, stores, device), split, config.train.batch_size, config.seed, member)
    data.training.start = start

    trainer = _trainer(config, device, start, member, loggers, progress)
    with plain_interrupts():
        trainer.fit(module, data, ckpt_path=newest, weights_only=True)
        if earlier and config.train.keep:
            average_weights(network, earlier.weights, config.train.keep)
            fit_heads(module, inputs, stores, split.train, config.seed)
        (final,) = trainer.validate(module, data, verbose=False)
    if member.number:
        return None
    information = (
        held_out_information(network, inputs, stores, split, **vars(config.information), seed=config.seed)
        if config.information.rows
        else {}
    )
    _log_information(trainer, output, information)
    final |= {f"held_out/information/{name}": found.information.nats for name, found in information.items()}
    files = getattr(inputs, "files", {})
    steps = trainer.global_step
    return _export(config, output, module, student, stores, split.train, steps, final, earlier, files)


def _share_threads(threads: int, device: torch.device, member: Member) -> None:
    """What the config says for each process; else, on a CPU, an equal part of what torch would take."""
    if threads:
        torch.set_num_threads(threads)
    elif member.here > 1 and device.type == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // member.here))


def _start_from(folder: str, student: StudentKind, network: torch.nn.Module) -> Checkpoint:
    """Take over a student's weights; returns it.

    Raises:
        CheckpointError: there is no student in the folder, or it is damaged.
        ConfigError: it is of another kind or of other sizes.
    """
    path = Path(folder)
    earlier = load_checkpoint(path / STUDENT if (path / STUDENT).is_dir() else path)
    try:
        if earlier.kind != student.kind:
            raise RuntimeError(f"it is a {earlier.kind!r}")
        network.load_state_dict(dict(earlier.weights), strict=True)
    except RuntimeError as error:
        problem = str(error).strip().splitlines()[-1].strip()
        raise ConfigError(
            f"train.start: {folder!r} does not fit this student: {problem}",
            "Give [student] the sizes in its config.json.",
        ) from error
    return earlier


def check_corpus(path: Path, stores: dict[str, EmbeddingStore]) -> None:
    """Refuse a corpus that is not, byte for byte, the file that the stores were embedded from."""
    try:
        found = folder.digest(path) if path.is_dir() else sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    for store in stores.values():
        if store.header.corpus != found:
            raise StoreError(
                f"{store.path} was not embedded from {path}: it names the SHA-256 {store.header.corpus or '(none)'}, "
                f"the file's is {found}.",
                "Embed this corpus with `molmv teachers embed`.",
            )


def usable_rows(usable: np.ndarray, stores: Mapping[str, EmbeddingStore], config: DistillConfig) -> np.ndarray:
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
    config: DistillConfig, network: torch.nn.Module, stores: Mapping[str, EmbeddingStore], rows: np.ndarray
) -> DistillModule:
    standardisers, specs = {}, {}
    loss = config.loss
    for name, store in stores.items():
        likelihood = loss.likelihoods.get(name, store.header.likelihood)
        asked = DENSITIES[likelihood if loss.objective == "nll" else loss.objective].scaling
        standardisers[name] = fit_standardiser(store, rows, asked if loss.scaling == "auto" else loss.scaling)
        specs[name] = TeacherSpec(standardisers[name].out_dim, likelihood)
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
    config: DistillConfig,
    device: torch.device,
    start: int,
    member: Member,
    loggers: Iterable[Logger],
    progress: bool,
) -> lightning.Trainer:
    train, output = config.train, Path(config.output)
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
        ),
        TermIsInterrupt(),
    ]
    if progress and member.number == 0:
        callbacks.append(TQDMProgressBar(refresh_rate=10))
    logs = [CSVLogger(output, name="log", version=f"from-step-{start}"), *loggers] if member.number == 0 else []
    return lightning.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=member.here,
        num_nodes=member.count // member.here,
        strategy=member.strategy() if member.count > 1 else "auto",
        use_distributed_sampler=False,
        precision="bf16-mixed" if half else "32-true",
        max_steps=train.steps,
        val_check_interval=train.validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=logs,
        log_every_n_steps=train.log_every,
        callbacks=callbacks,
        plugins=[WholeCheckpoints()],
        enable_progress_bar=progress,
        enable_model_summary=False,
    )


def _log_information(trainer: lightning.Trainer, output: Path, found: dict[str, TeacherInformation]) -> None:
    """Into every log, and into ``information.json``."""
    if not found:
        return
    save_information(found, output)
    nats = {f"held_out/information/{name}": one.information.nats for name, one in found.items()}
    for logger in trainer.loggers:
        logger.log_metrics(nats, step=trainer.global_step)
        logger.save()


def _newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole; a later one that was cut off or damaged is passed over with a warning."""
    for path in sorted(folder.glob("*.ckpt"), reverse=True):
        try:
            with ZipFile(path) as archive:
                damaged = archive.testzip()
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (RuntimeError, ValueError, OSError, EOFError, BadZipFile, zlib.error, UnpicklingError) as error:
            damaged = str(error).partition("\n")[0] or type(error).__name__
        if not damaged:
            return path
        warnings.warn(f"{path} is damaged and passed over ({damaged[:100]}).", stacklevel=3)
    return None


def _check_checkpoint(path: Path, config: DistillConfig) -> int:
    """The step of a checkpoint of this very config."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(checkpoint, dict) or checkpoint.get("config_digest") != config.digest:
        raise ConfigError(f"{path} was made with another config.", "Name another output, or restore the config.")
    step = checkpoint.get("global_step")
    if type(step) is not int or not isinstance(checkpoint.get("state_dict"), dict):
        raise CheckpointError(f"{path} is not a checkpoint of a training.", "Delete it: the one before it is taken.")
    return step


def _export(
    config: DistillConfig,
    output: Path,
    module: DistillModule,
    student: StudentKind,
    stores: Mapping[str, EmbeddingStore],
    rows: np.ndarray,
    steps: int,
    final: dict[str, Any],
    earlier: Checkpoint | None,
    files: Mapping[str, bytes],
) -> Path:
    provenance = {
        "corpus": {"sha256": next(iter(stores.values())).header.corpus, "rows": len(rows)},
        "teachers": {name: dict(store.header.provenance) for name, store in stores.items()},
        "config": config.as_dict(),
        "steps": steps,
        "held_out": {k.removeprefix("held_out/"): round(float(v), 5) for k, v in final.items()},
        "versions": {"torch": torch.__version__, "lightning": lightning.__version__},
    }
    if earlier:
        provenance |= {"started_from": earlier.digest, "earlier": dict(earlier.provenance)}
    sizes = dict(vars(module.student.config))  # the defaults of this version included
    checkpoint = Checkpoint(config.name, student.kind, sizes, provenance, module.student.state_dict(), files=files)
    digest = save_checkpoint(checkpoint, output / STUDENT)
    standardisers = dict(zip(module.names, module.standardisers, strict=True))
    save_heads(output, module.loss, standardisers, digest)  # type: ignore[arg-type]
    with replacing(output / "summary.json") as temporary:
        temporary.write_text(json.dumps(provenance["held_out"], indent=1) + "\n")
    return output / STUDENT
