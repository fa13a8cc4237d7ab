"""Teachers, students and plain baselines under one protocol."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from molmv.evaluate.evaluation import Report, evaluate

__all__ = ["Report", "evaluate"]


class _Verb(ModuleType):
    """The package has the name of its verb: ``molmv.evaluate(...)`` works, whatever was imported before."""

    def __call__(self, *args: Any, **options: Any) -> "Report":
        from molmv.evaluate.evaluation import evaluate

        return evaluate(*args, **options)

    def __getattr__(self, name: str) -> Any:  # the heavy part is imported when first used
        if name in __all__:
            from molmv.evaluate import evaluation

            return getattr(evaluation, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


sys.modules[__name__].__class__ = _Verb
