"""``molmv.distill`` is a package and a verb."""

import subprocess
import sys

import pytest

pytest.importorskip("lightning")


@pytest.mark.parametrize("first", ["", "import molmv.distill;", "from molmv.distill import read_config;"])
def test_the_verb_can_be_called_whatever_was_imported_first(first: str):
    code = f"{first}import molmv\ntry: molmv.distill(None)\nexcept AttributeError as e: print('called', e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "called 'NoneType' object has no attribute 'output'" in done.stdout, done.stderr
