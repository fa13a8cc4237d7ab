"""The scikit-learn transformer, held to scikit-learn's own checks and used with its own tools."""

import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import validate_data

import molmv
from molmv.errors import CheckpointError, InputError, RefusedRowsError, UnknownNameError
from molmv.sklearn import MoleculeEmbedder
from molmv.student.checkpoint import load_checkpoint, save_checkpoint

SMILES = ["CCO", "c1ccccc1O", "CC(=O)Nc1ccc(O)cc1", "CCN"]


class OfNumbers(MoleculeEmbedder):
    """scikit-learn's checks come with numbers: each row of them is made an alcohol."""

    def fit(self, X, y=None):
        return super().fit(alcohols(validate_data(self, X)))

    def transform(self, X):
        return super().transform(alcohols(validate_data(self, X, reset=False)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = tags.input_tags.allow_nan = False
        tags.input_tags.two_d_array = True
        return tags


def alcohols(X: np.ndarray) -> list[str]:
    return ["C" * (1 + int(abs(row.sum() * 10)) % 9) + "O" for row in X]


def test_passes_the_checks_of_scikit_learn():
    rounding = {"check_methods_subset_invariance": "batches differ by 1e-6, the check allows 1e-7: see below"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says which checks it leaves out, and that the one above fails
        results = check_estimator(OfNumbers(), expected_failed_checks=rounding, on_skip=None)
        own = check_estimator(MoleculeEmbedder(), on_skip=None)
    assert sum(result["status"] == "passed" for result in results) > 35
    assert all(result["status"] == "passed" for result in own)


def test_rows_do_not_depend_on_each_other():
    together = MoleculeEmbedder().transform(SMILES)
    alone = np.concatenate([MoleculeEmbedder().transform([text]) for text in SMILES])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_gives_what_featurize_gives():
    X = MoleculeEmbedder().fit_transform(SMILES)
    np.testing.assert_array_equal(X, molmv.featurize(SMILES).X)
    assert MoleculeEmbedder("ecfp").transform(SMILES).shape == (4, 2048)


@pytest.mark.parametrize(
    "form",
    [tuple, np.array, pd.Series, lambda s: np.array(s)[:, None], lambda s: pd.DataFrame({"smiles": s}),
     lambda s: [[text] for text in s], lambda s: [Chem.MolFromSmiles(text) for text in s],
     lambda s: pd.Series([Chem.MolFromSmiles(text) for text in s]), lambda s: pd.Series(s, dtype="string")],
    ids=["tuple", "array", "Series", "2-d array", "DataFrame", "rows", "Mols", "Series of Mols", "string Series"],
)  # fmt: skip
def test_takes_molecules_in_many_forms(form):
    np.testing.assert_allclose(MoleculeEmbedder().transform(form(SMILES)), molmv.featurize(SMILES).X, atol=1e-5)


@pytest.mark.parametrize("wrong", ["CCO", [["CCO", "CCN"]], np.zeros((2, 2)), {"CCO"}, 3, np.array("CCO")], ids=repr)
def test_refuses_what_is_not_one_column(wrong):
    with pytest.raises(InputError):
        MoleculeEmbedder().fit(wrong)


def test_bad_rows():
    rows = ["CCO", "not a molecule", None, np.nan, pd.NA, "CCN"]
    X = MoleculeEmbedder().fit_transform(rows)
    assert np.isnan(X).all(axis=1).tolist() == [False, True, True, True, True, False]
    with pytest.raises(RefusedRowsError, match=r"4 of 6 rows.*row 1"):
        MoleculeEmbedder(on_invalid="raise").transform(rows)
    assert MoleculeEmbedder().fit_transform([]).shape == (0, 512)


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [({"model": "nothing"}, UnknownNameError), ({"model": 3}, InputError), ({"on_invalid": "drop"}, InputError),
     ({"batch_size": 0}, InputError)],
)  # fmt: skip
def test_parameters_are_checked_in_fit(parameters, kind):
    with pytest.raises(kind):
        MoleculeEmbedder(**parameters).fit(SMILES)


def test_parameters_set_later_count():
    embedder = MoleculeEmbedder()
    embedder.fit(SMILES)
    assert embedder.set_params(model="maccs").fit_transform(SMILES).shape == (4, 166)


def test_pandas_output_keeps_the_index():
    series = pd.Series(SMILES, index=list("abcd"))
    frame = MoleculeEmbedder().set_output(transform="pandas").fit_transform(series)
    assert list(frame.index) == list("abcd")
    assert list(frame.columns[:2]) == ["e0", "e1"]
    assert list(frame.columns) == list(MoleculeEmbedder().get_feature_names_out())


def test_column_of_a_table():
    table = pd.DataFrame({"smiles": SMILES, "dose": [1.0, 2.0, 3.0, 4.0]})
    for column in ("smiles", ["smiles"]):
        both = ColumnTransformer([("molecule", MoleculeEmbedder("maccs"), column), ("dose", "passthrough", ["dose"])])
        assert both.fit_transform(table).shape == (4, 167)
        assert both.get_feature_names_out()[[0, -1]].tolist() == ["molecule__e0", "dose__dose"]


def test_pickle_holds_no_weights(tmp_path):
    fitted = MoleculeEmbedder().fit(SMILES)
    expected = fitted.transform(SMILES)
    assert len(pickle.dumps(fitted)) < 1000
    joblib.dump(fitted, tmp_path / "embedder.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "embedder.joblib").transform(SMILES), expected)
    assert clone(fitted).get_params() == fitted.get_params()


def test_other_weights_of_the_same_name_are_refused(tmp_path, root):
    student = load_checkpoint(root / "students" / "molmv-small")
    save_checkpoint(student, tmp_path / "student")
    packed = pickle.dumps(MoleculeEmbedder(tmp_path / "student").fit(SMILES))
    changed = {name: tensor + 1 for name, tensor in student.weights.items()}
    save_checkpoint(type(student)(**{**vars(student), "weights": changed}), tmp_path / "student")
    with pytest.raises(CheckpointError, match="not those that this MoleculeEmbedder was fitted with"):
        pickle.loads(packed).transform(SMILES)
    assert pickle.loads(packed).fit(SMILES).transform(SMILES).shape == (4, 512)


def test_grid_search_on_an_assay(shared_data, tmp_path):
    assay = pd.read_csv(shared_data / "tdc" / "Caco2_Wang.csv").head(300)
    steps = [("embed", MoleculeEmbedder()), ("impute", SimpleImputer()), ("ridge", Ridge())]
    pipe = Pipeline(steps, memory=str(tmp_path / "cache"))
    grid = {"embed__model": ["molmv-small", "maccs"], "ridge__alpha": [1.0, 100.0]}
    search = GridSearchCV(pipe, grid, cv=3, scoring="r2").fit(assay["smiles"].tolist(), assay["label"])
    assert search.best_score_ > 0.3
    joblib.dump(search.best_estimator_, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(again.predict(["CCO", None]), search.predict(["CCO", None]))


def test_parallel_folds():
    y = np.arange(8.0)
    search = GridSearchCV(make_pipeline(MoleculeEmbedder("maccs"), Ridge()), {"ridge__alpha": [1, 2]}, cv=2, n_jobs=2)
    assert search.fit(SMILES * 2, y).predict(SMILES).shape == (4,)
