"""A student on disk: ``config.json`` and ``model.safetensors``, as in a Hugging Face model repository.

What else its inputs need (the vocabulary of a text student) lies beside them. The config holds the hash of the weights,
of every such file and of itself, so a damaged or exchanged file is refused before it is opened.
Nothing unpickles.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from molmv.atomic import replacing
from molmv.documents import read_json
from molmv.errors import CheckpointError

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
_Network = TypeVar("_Network", bound=nn.Module)
# The fields of a checkpoint that its config holds.
_STORED = ("name", "kind", "config", "provenance", "digest")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds.

    Attributes:
        name: how to call the student.
        kind: which network, e.g. ``gine``.
        config: its sizes.
        provenance: how it was made: teachers, corpus, licences, versions; free JSON.
        weights: tensors by name.
        digest: SHA-256 of the weights file.
        files: what else belongs to it, by name: content.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    digest: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> str:
    """Write all files; the config last, so that a folder with a config is whole. Returns the weights' digest."""
    from safetensors.torch import save

    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.weights.items()}
    data = save(weights, metadata={"format": "pt"})
    with replacing(folder / WEIGHTS, parents=True) as temporary:
        temporary.write_bytes(data)
    content = {"format": FORMAT, **{name: getattr(checkpoint, name) for name in _STORED}}
    content["digest"] = hashlib.sha256(data).hexdigest()
    for name, text in checkpoint.files.items():
        with replacing(folder / name) as temporary:
            temporary.write_bytes(text)
    if checkpoint.files:
        content["files"] = {name: hashlib.sha256(text).hexdigest() for name, text in checkpoint.files.items()}
    content["config_digest"] = config_digest(content)
    with replacing(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    digest: str = content["digest"]
    return digest


def trainings(provenance: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What is told of a student's trainings: the last one first, then what it went on from (``train.start``)."""
    earlier = provenance.get("earlier")
    return [provenance, *(trainings(earlier) if isinstance(earlier, dict) else [])]


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read and verify all files.

    Raises:
        CheckpointError: a file is missing, damaged, exchanged, or of another format; the message names it.
    """
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).exists()]
    if missing:
        raise CheckpointError(f"{folder} is not a student: {missing[0]} is missing.")
    content, weights = read_verified(folder / CONFIG, folder / WEIGHTS, FORMAT, "checkpoint format")
    missing = [name for name in _STORED if name not in content]
    if missing:
        raise CheckpointError(f"{folder / CONFIG} has no {', '.join(missing)}.")
    kinds = {"name": str, "kind": str, "config": dict, "provenance": dict, "files": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(content.get(name, {}), kind)]
    if wrong:
        raise CheckpointError(f"{folder / CONFIG}: {wrong[0]} is of another type.")
    files = {name: _read_beside(folder, name, digest) for name, digest in content.get("files", {}).items()}
    return Checkpoint(**{name: content[name] for name in _STORED}, weights=weights, files=files)


def _read_beside(folder: Path, name: str, digest: str) -> bytes:
    path = folder / name
    if Path(name).name != name:
        raise CheckpointError(f"{folder / CONFIG} names a file outside of its folder: {name!r}.")
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        raise CheckpointError(f"{folder} is not a student: {name} is missing.", "Fetch it again.") from error
    if (found := hashlib.sha256(data).hexdigest()) != digest:
        raise CheckpointError(f"{path} was changed: its SHA-256 is {found}, {CONFIG} says {digest}.", "Fetch it again.")
    return data


def read_verified(
    config_path: Path, weights_path: Path, expected: int, what: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A JSON object with its own hash and that of a safetensors file, and the tensors of that file.

    Args:
        config_path: the object.
        weights_path: the tensors.
        expected: its key ``format``.
        what: what that is the format of.

    Raises:
        CheckpointError: a file is missing, damaged, exchanged, or of another format; the message names it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        content = read_json(config_path)
        data = weights_path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{error.filename} cannot be read: {error.strerror}.") from error
    except MemoryError as error:
        raise CheckpointError(f"{weights_path} does not fit into memory.") from error
    except ValueError as error:
        raise CheckpointError(f"{config_path} is damaged: {error}") from error
    if content.get("format") != expected:
        raise CheckpointError(f"{config_path}: expected {what} {expected}.", "Update molmv.")
    if content.pop("config_digest", None) != config_digest(content):
        raise CheckpointError(f"{config_path} was changed: its hash does not match.", "Fetch it again.")
    found = hashlib.sha256(data).hexdigest()
    if found != content.get("digest"):
        raise CheckpointError(
            f"{weights_path} was changed: its SHA-256 is {found}, {config_path.name} says {content.get('digest')}.",
            "Fetch it again.",
        )
    try:
        return content, load(data)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{weights_path} is not a safetensors file: {error}") from error


def restore(make: Callable[[], _Network], weights: Mapping[str, Tensor]) -> _Network:
    """A network with these weights. It is made only if they are of the sizes that it will have.

    So what a config claims allocates no more than there are weights.

    Args:
        make: makes the network; called twice, the first time on the device ``meta``, which allocates nothing.
        weights: tensors by name.

    Raises:
        RuntimeError: a weight is missing, too many, or of another shape or kind.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class Unfilled(TorchFunctionMode):
        """Leaves out first values, which nobody reads: on ``meta`` torch imports its compiler for them, a second."""

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(function, "__module__", "") == "torch.nn.init":
                return args[0] if args else kwargs["tensor"]
            return function(*args, **(kwargs or {}))

    with torch.device("meta"), Unfilled():
        expected = {name: tensor.shape for name, tensor in make().state_dict().items()}
    for name in {**expected, **weights}:
        wanted, found = expected.get(name), weights[name].shape if name in weights else None
        if wanted != found:
            shapes = ("nothing" if shape is None else str(tuple(shape)) for shape in (wanted, found))
            raise RuntimeError("{}: expected {}, found {}".format(name, *shapes))
    with Unfilled():
        network = make()
    network.load_state_dict(dict(weights), strict=True)
    return network


def config_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON object without its key ``config_digest``."""
    kept = {k: v for k, v in content.items() if k != "config_digest"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
