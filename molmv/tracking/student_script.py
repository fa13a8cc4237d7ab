"""What MLflow runs to load a logged student ("models from code"); a user of molmv like any other."""

from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

import molmv


class StudentModel(PythonModel):  # type: ignore[misc]
    """SMILES in; status, reason and embedding out, row by row."""

    def load_context(self, context: Any) -> None:
        """Load the student that lies beside this script."""
        self.student = molmv.load_student(context.artifacts["student"])

    # Without annotations: MLflow would take them for the signature, which is given.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Embed the column ``smiles`` of a data frame; a refused row has no embedding, which JSON knows as null."""
        import pandas as pd

        result = molmv.featurize(list(model_input["smiles"]), self.student)
        vectors = [x.tolist() if good else None for x, good in zip(result.X, result.valid, strict=True)]
        return pd.DataFrame({"status": result.status, "reason": result.reason, "embedding": vectors})


set_model(StudentModel())
