"""A small assay with duplicates, a contradiction and bad rows."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def assay(tmp_path: Path) -> Path:
    """80 molecules whose activity is their size; two bad rows, one duplicate that agrees and one that does not."""
    random = np.random.default_rng(0)
    rows = []
    for i in range(80):
        ring = random.choice(["c1ccccc1", "C1CCCCC1", "c1ccncc1", "C1CCNCC1", "c1ccoc1", "C1CC1"])
        length = int(random.integers(1, 12))
        rows.append(f"{'C' * length}{'O' * (i % 2)}{ring},{length + 6 + i % 2},{int(length > 6)}")
    unique = list(dict.fromkeys(rows))
    head = unique[0].split(",")
    extra = [",".join(head), f"{head[0]},{float(head[1]) + 2},{1 - int(head[2])}", "not-a-molecule,1,0", ",2,1"]
    path = tmp_path / "assay.csv"
    path.write_text("smiles,size,active\n" + "\n".join(unique + extra) + "\n")
    return path
