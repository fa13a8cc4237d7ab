"""From stores of teachers to a student: config, data, training."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from molmv.distill.config import DistillConfig, read_config
from molmv.distill.run import distill

__all__ = ["DistillConfig", "distill", "read_config"]


class _Verb(ModuleType):
    """The package has the name of its verb: ``molmv.distill(config)`` works, whatever was imported before."""

    def __call__(self, *args: Any, **options: Any) -> Path:
        return distill(*args, **options)


sys.modules[__name__].__class__ = _Verb
