"""Checkpoints of a training that are whole or not there, and whose refusal by the system ends the run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from molmv.atomic import replacing


class WholeCheckpoints(TorchCheckpointIO):  # type: ignore[misc]
    """Writes checkpoints beside their place, and renames them when they are on the disk.

    Lightning's own copies a file to its place, which leaves half a one on a full disk, and says nothing where the
    rights are lost: a training would go on for days without a checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            OutputError: the system refuses; the checkpoints before are as they were.
        """
        content = io.BytesIO()  # torch makes a RuntimeError of what the system says of a file
        torch.save(checkpoint, content)
        with replacing(Path(path), parents=True) as temporary:
            temporary.write_bytes(content.getbuffer())
