"""From stores of teachers to a student: config, data, training."""

from molmv.distill.config import DistillConfig, read_config
from molmv.distill.run import distill

__all__ = ["DistillConfig", "distill", "read_config"]
