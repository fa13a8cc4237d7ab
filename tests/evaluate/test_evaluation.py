"""The verb from Python: real files out, resumable, one failure costs itself."""

import csv
import warnings

import numpy as np
import pytest
from fake_embedder import FakeEmbedder

import molmv
from molmv.errors import InputError, UnknownNameError
from molmv.evaluate import tables
from molmv.evaluate.protocol import Score
from molmv.evaluate.runner import Result


class Size(FakeEmbedder):
    """Knows the size of a molecule, and how often it was asked."""

    name, asked = "size", 0

    def embed(self, rows):
        self.asked += 1
        return super().embed(rows)


@pytest.fixture(autouse=True)
def _small(monkeypatch, tmp_path):
    monkeypatch.setattr("molmv.evaluate.protocols.strict.REPEATS", 2)
    monkeypatch.setenv("MOLMV_HOME", str(tmp_path / "home"))


def run(assay, tmp_path, **options):
    model = Size()
    chosen = {"heads": ["linear"], "baselines": False, "plots": False, "output": tmp_path / "out", **options}
    return model, molmv.evaluate([model], "strict", f"{assay}:size", **chosen)


def test_an_assay_is_evaluated_and_written(assay, tmp_path):
    _, report = run(assay, tmp_path, plots=True)
    with (tmp_path / "out" / "strict.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["split"] for row in rows} == {"scaffold", "random"}
    assert {row["metric"] for row in rows} == {"R2", "MAE"}
    assert min(float(row["mean"]) for row in rows if row["metric"] == "R2") > 0.95  # the size is one of its numbers
    assert all(path.stat().st_size for path in report.files)
    assert {path.suffix for path in report.files} == {".csv", ".md", ".svg", ".png", ".html"}
    assert "Protocol strict" in str(report)
    assert "2 refused" in (tmp_path / "out" / "strict.md").read_text()


def test_the_same_call_again_computes_nothing(assay, tmp_path, monkeypatch):
    _, first = run(assay, tmp_path)
    monkeypatch.setattr("molmv.evaluate.heads.fit_logistic", None)
    monkeypatch.setattr("molmv.evaluate.heads.ridge_path", None)
    model, second = run(assay, tmp_path)
    assert model.asked == 0
    assert second.results == first.results


def test_finished_scores_stand_beside_and_nothing_is_computed_for_them(assay, tmp_path):
    run(assay, tmp_path)
    other = Size()
    other.name = "other"
    kept = Size()
    report = molmv.evaluate(
        other, "strict", f"{assay}:size", heads=["linear", "knn"], baselines=False, plots=False,
        output=tmp_path / "out", beside=[kept],
    )  # fmt: skip
    assert kept.asked == 0
    assert {(r.model, r.head) for r in report.results} == {("other", "linear"), ("other", "knn"), ("size", "linear")}
    with pytest.raises(InputError, match="Nothing is finished yet"):
        molmv.evaluate([], "strict", f"{assay}:size", baselines=False, output=tmp_path / "empty", beside=[kept])


def test_a_run_that_is_cut_off_leaves_whole_rows(assay, tmp_path, monkeypatch):
    second = Size()
    second.name = "second"
    monkeypatch.setattr(second, "embed", lambda rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        molmv.evaluate(
            [Size(), second], "strict", f"{assay}:size", heads=["linear"], baselines=False, plots=False,
            output=tmp_path / "out",
        )  # fmt: skip
    with (tmp_path / "out" / "strict.csv").open(newline="") as file:
        assert {row["model"] for row in csv.DictReader(file)} == {"size"}


def test_a_changed_label_is_another_task(assay, tmp_path, monkeypatch):
    run(assay, tmp_path)
    assay.write_text(assay.read_text().replace("\nCCO", "\nCCCO", 1).replace(",9,", ",9.5,"))
    monkeypatch.setattr("molmv.evaluate.heads.ridge_path", None)
    with pytest.raises(TypeError):
        run(assay, tmp_path)


def test_a_task_that_cannot_be_evaluated_is_warned_of(assay, tmp_path):
    small = tmp_path / "small.csv"
    small.write_text("smiles,y\n" + "".join(f"{'C' * n}c1ccccc1,{int(n < 3)}\n{'C' * n}O,0\n" for n in range(1, 20)))
    with pytest.warns(UserWarning, match=r"class 1 has \d training rows, fewer than 5 folds"):
        report = molmv.evaluate(
            Size(), "strict", [f"{small}:y", f"{assay}:size"], heads=["linear"], baselines=False, plots=False,
            output=tmp_path / "out",
        )  # fmt: skip
    assert {result.task for result in report.results} == {"assay.csv:size"}


def test_nothing_but_failures_is_an_error(tmp_path):
    small = tmp_path / "small.csv"
    small.write_text("smiles,y\n" + "".join(f"{'C' * n}O,{int(n < 3)}\n{'C' * n}c1ccccc1,0\n" for n in range(1, 20)))
    options = {"heads": ["linear"], "baselines": False, "plots": False, "output": tmp_path / "out"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match="Nothing could be evaluated"):
            molmv.evaluate(Size(), "strict", f"{small}:y", **options)


def test_jobs_change_nothing(assay, tmp_path):
    _, one = run(assay, tmp_path)
    _, two = run(assay, tmp_path, jobs=2, output=tmp_path / "other")
    for first, second in zip(one.results, two.results, strict=True):
        np.testing.assert_allclose([s.value for s in first.scores], [s.value for s in second.scores], atol=1e-6)


def test_wrong_names_are_explained(assay, tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'paper'"):
        molmv.evaluate(Size(), "papers")
    with pytest.raises(UnknownNameError, match="head of strict"):
        run(assay, tmp_path, heads=["svm"])
    with pytest.raises(InputError, match="no model"):
        molmv.evaluate([], "strict", f"{assay}:size", baselines=False, output=tmp_path)


def test_a_server_that_is_down_does_not_stop_it(assay, tmp_path):
    import mlflow

    with pytest.warns(UserWarning, match="did not take the run"):
        _, report = run(assay, tmp_path, mlflow="http://127.0.0.1:9")
    client = mlflow.MlflowClient(f"sqlite:///{report.folder.resolve() / 'mlruns.db'}")
    (logged,) = client.search_runs([client.get_experiment_by_name("molmv-evaluate").experiment_id])
    assert logged.data.params["protocol"] == "strict-v2"
    assert logged.data.metrics["size/linear/random/R2"] == pytest.approx(report.means["size/linear/random/R2"])


def score(value: float, seed: int = 0, label: str = "y", metric: str = "AUROC", head: str = "linear") -> Score:
    return Score(label, "random", seed, head, metric, value, 0.5, 10, 5)


def test_labels_are_averaged_before_seeds():
    result = Result("m", "t", "linear", (score(0.6), score(0.8, label="z"), score(0.9, 1), score(float("nan"), 1, "z")))
    (values,) = tables.cells([result]).values()
    np.testing.assert_allclose(values, [0.7, 0.9])


def test_tables_have_the_published_columns(shared_data):
    folder = shared_data.parent / "reference"
    for protocol, name in (
        ("embedding-benchmark", "embedding_benchmark_2508.06199.csv"),
        ("tdc-admet", "tdc_admet_leaderboard.csv"),
    ):
        published = (folder / name).read_text().splitlines()[0].split(",")
        header, rows = tables.published_rows(protocol, [Result("m", "t", "linear", (score(0.5), score(0.7, 1)))])
        assert [column for column in published if column != "rank"] == list(header)
        assert len(rows) == 1


def test_means_are_given_with_and_without_flagged_tasks():
    from molmv.evaluate.leaks import Leak

    results = [
        Result(model, task, "linear", (score(value),))
        for model, values in (("a", (0.9, 0.6)), ("b", (0.5, 0.5)))
        for task, value in zip(("seen", "clean"), values, strict=True)
    ]
    leaks = [Leak("a", task, "seer" if task == "seen" else "", None, None, 0.0, 0.0) for task in ("seen", "clean")]
    page = tables.summary(results, leaks, ["a", "b"], "Title")
    (line,) = [line for line in page.splitlines() if line.startswith("| **a** |")]
    cells = [cell.strip() for cell in line.split("|")]
    assert cells[2] == "0.7500"
    assert cells[4] == "0.6000"
    assert "seen (seer)" in page


@pytest.mark.parametrize(("metric", "values"), [("MAE", (1.0, 2.0, 5.0)), ("R2", (-0.5, -0.2, 0.1))])
def test_intervals_of_means_run_upwards_in_the_metric_itself(metric, values):
    results = [Result("a", f"T{i}", "linear", (score(v, metric=metric),)) for i, v in enumerate(values)]
    page = tables.summary(results, (), ("a",), "title")
    row = next(line for line in page.splitlines() if line.startswith("| **a**"))
    mean, interval = (cell.strip() for cell in row.split("|")[2:4])
    low, high = map(float, interval.split(" – "))
    assert float(mean) == pytest.approx(np.mean(values), abs=1e-4)
    assert min(values) - 1e-9 <= low < float(mean) < high <= max(values) + 1e-9
