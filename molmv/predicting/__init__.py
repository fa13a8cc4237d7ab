"""Property models for a chemist: from an assay file to predictions with intervals, on frozen embeddings."""

from molmv.predicting.fitting import FitResult, fit
from molmv.predicting.predict_file import predict_file
from molmv.predicting.predictor import Predictions, Predictor, load_predictor

__all__ = ["FitResult", "Predictions", "Predictor", "fit", "load_predictor", "predict_file"]
