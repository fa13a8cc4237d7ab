"""``python -m molmv``."""

from molmv.cli import main

main()
