"""Arrow files of anyone: mapped into memory, and no column of theirs leads outside of it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"ARROW1\0\0"
# Places in the tables of Arrow's format (Message.fbs): a message's header, and how the bytes of a batch are packed.
_HEADER, _COMPRESSION = 2, 3


def read_arrow(path: Path) -> pa.Table:
    """The table of an Arrow file that is not compressed, as molmv writes it.

    The messages are read in their order, and not through the index at the end of the file, which could name others.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file, or a damaged one.
    """
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as file:
            data = file.read_buffer()
        if data.slice(0, len(MAGIC)).to_pybytes() != MAGIC:
            raise ValueError("it does not begin as one")
        messages = pa.ipc.MessageReader.open_stream(data.slice(len(MAGIC)))
        schema = pa.ipc.read_schema(messages.read_next_message())
        batches = []
        for message in messages:
            if message.type != "record batch" or _compressed(message.metadata.to_pybytes()):
                raise ValueError("it is packed otherwise than molmv does")
            batches.append(pa.ipc.read_record_batch(message, schema))
        table = pa.Table.from_batches(batches, schema)
        table.validate(full=True)  # offsets that point outside of the file would be followed
    except (pa.ArrowException, struct.error, StopIteration) as error:
        raise ValueError(" ".join(str(error).split())[:200] or "it ends early") from error
    return table


def _compressed(metadata: bytes) -> bool:
    """Whether a batch must be unpacked, to any size, before it can be looked at."""
    (root,) = struct.unpack_from("<I", metadata)
    place = _field(metadata, root, _HEADER)
    (offset,) = struct.unpack_from("<I", metadata, place)
    return _field(metadata, place + offset, _COMPRESSION) != 0


def _field(data: bytes, table: int, i: int) -> int:
    """Where field ``i`` of a table of flatbuffers begins; 0 if the table has none."""
    (back,) = struct.unpack_from("<i", data, table)
    (size,) = struct.unpack_from("<H", data, table - back)
    if 4 + 2 * i >= size:
        return 0
    (offset,) = struct.unpack_from("<H", data, table - back + 4 + 2 * i)
    return table + offset if offset else 0
