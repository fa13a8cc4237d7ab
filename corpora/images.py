"""Write the training parts of the image sets into one parquet of PNG files, for teachers and students.

    MOLMV_MIRROR=../shared/data python corpora/images.py -o build/images.parquet

Columns: ``image``, the bytes; ``set``, where it is from. No label is in it, and no image of a test part.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from molmv.evaluate.image_tasks import SUITE, read_set
from molmv.evaluate.sources import files


def png(pixels: np.ndarray) -> bytes:
    """An image ``(height, width, 3)`` as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, names: Sequence[str], seed: int = 0) -> int:
    """Write the training parts of some sets, shuffled; returns the number of rows."""
    rows = []
    for name in names:
        found = read_set(name)
        seen_in_test = {image.tobytes() for image in found.images[found.test]}
        kept = [image for image in found.images[~found.test] if image.tobytes() not in seen_in_test]
        rows += [(png(image), name) for image in kept]
    order = np.random.default_rng(seed).permutation(len(rows))
    images, sets = zip(*(rows[i] for i in order), strict=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": pa.array(images, pa.binary()), "set": list(sets)}), path, compression="none")
    return len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    rows = write(arguments.output, sorted({file.name for file in files() if file.suite == SUITE}))
    print(f"{arguments.output}: {rows:,} images, sha256 {hashlib.sha256(arguments.output.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
