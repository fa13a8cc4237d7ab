"""What MLflow runs to load a logged predictor ("models from code"); a user of molmv like any other."""

from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

import molmv


class PredictorModel(PythonModel):  # type: ignore[misc]
    """SMILES in; prediction, interval, in-domain flag, status and reason out, row by row."""

    def load_context(self, context: Any) -> None:
        """Load the predictor that lies beside this script."""
        self.predictor = molmv.load_predictor(context.artifacts["predictor"])

    # Without annotations: MLflow would take them for the signature, which is given.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Predict for the column ``smiles`` of a data frame."""
        frame = self.predictor.predict(list(model_input["smiles"])).to_frame()
        return frame.drop(columns=["row", "smiles"])


set_model(PredictorModel())
