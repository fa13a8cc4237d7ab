"""Heads on frozen embeddings. Each is fitted with scikit-learn and then is plain arrays and a formula in NumPy.

A head on disk is its arrays and the name of its kind: no object of ours or of scikit-learn is pickled, and a newer
scikit-learn cannot change a prediction. One file a kind.
"""

from molmv.predicting.heads.base import Arrays, Head, Scaler
from molmv.predicting.heads.forest import Forest
from molmv.predicting.heads.kernel import Kernel
from molmv.predicting.heads.linear import Linear
from molmv.predicting.heads.neighbours import Neighbours

__all__ = ["HEADS", "Arrays", "Forest", "Head", "Kernel", "Linear", "Neighbours", "Scaler"]

HEADS: dict[str, type[Head]] = {"linear": Linear, "knn": Neighbours, "kernel": Kernel, "forest": Forest}
