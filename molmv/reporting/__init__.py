"""One self-contained page about embeddings, distillations, stores and evaluations."""

from molmv.reporting.writing import report

__all__ = ["report"]
