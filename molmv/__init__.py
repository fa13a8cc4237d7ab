"""Many molecular models, one embedding. Names are imported when first used: ``import molmv`` loads nothing heavy."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from molmv.distill import distill
    from molmv.evaluate import evaluate
    from molmv.featurizing import featurize
    from molmv.loss import MajorityVoteLoss
    from molmv.models import list_teachers, load_embedder, load_student, load_teacher
    from molmv.predicting import fit, load_predictor
    from molmv.reporting import report
    from molmv.results import EmbeddingResult, load_embeddings

    __version__: str

__all__ = [
    "EmbeddingResult",
    "MajorityVoteLoss",
    "__version__",
    "distill",
    "evaluate",
    "featurize",
    "fit",
    "list_teachers",
    "load_embedder",
    "load_embeddings",
    "load_predictor",
    "load_student",
    "load_teacher",
    "report",
]

_HOMES = {
    "EmbeddingResult": "molmv.results",
    "MajorityVoteLoss": "molmv.loss",
    "distill": "molmv.distill",
    "evaluate": "molmv.evaluate",
    "featurize": "molmv.featurizing",
    "fit": "molmv.predicting",
    "list_teachers": "molmv.models",
    "load_embedder": "molmv.models",
    "load_embeddings": "molmv.results",
    "load_predictor": "molmv.predicting",
    "load_student": "molmv.models",
    "load_teacher": "molmv.models",
    "report": "molmv.reporting",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _version()
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'molmv' has no attribute {name!r}")
    globals()[name] = value  # importing a home of the same name has put the module in this place
    return value


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("molmv")
    except PackageNotFoundError:  # a checkout on the path, not installed
        return "unknown"


def __dir__() -> list[str]:
    return __all__
