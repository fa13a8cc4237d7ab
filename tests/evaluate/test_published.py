"""Published rows beside ours: numbers worked by hand on a small table."""

import numpy as np
import pytest

from molmv.errors import InputError
from molmv.evaluate.protocol import Score
from molmv.evaluate.published import copied_rows, page, read_published, spelling
from molmv.evaluate.runner import Result

TABLE = """task,metric,rank,model,mean,sd
herg,AUROC,1,Best,0.9,0.01
herg,AUROC,2,Mini_Mol,0.8,0.02
caco2_wang,MAE,1,Mini_Mol,0.3,0.01
caco2_wang,MAE,2,Best,0.4,0.01
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "board.csv"
    path.write_text(TABLE)
    return path


def results(model, herg, caco):
    def scores(metric, values):
        return tuple(Score("y", "official", i, "mlp", metric, v, 0.0, 8, 2) for i, v in enumerate(values))

    return [
        Result(model, "hERG", "mlp", scores("AUROC", herg)),
        Result(model, "Caco2_Wang", "mlp", scores("MAE", caco)),
    ]


def cells(text, start):
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_position_and_reproduction_by_hand(table):
    ours = results("minimol", [0.81, 0.83], [0.35, 0.35])
    text = page(read_published(table, "tdc-admet"), ours, ["minimol"], {"hERG"})
    # hERG: Best is better, so 2nd; Caco2: the published Mini_Mol is, so 2nd. Without hERG: 2nd.
    assert cells(text, "**minimol**")[:3] == ["**minimol**", "2.00", "2.00"]
    assert cells(text, "Best")[:5] == ["Best", "1.50", "2.00", "0.9000", ""]  # no mean of errors in different units
    assert cells(text, "*the best of each task*")[1:4] == ["1.00", "1.00", "0.9000"]
    # |.82 - .80| = .02 is within 2 × .02; |.35 - .30| = .05 is not within 2 × .01.
    assert cells(text, "minimol")[1:] == ["Mini_Mol", "2", "0.5850", "0.5500", "0.0500 (Caco2_Wang)", "1 of 2"]
    assert cells(text, "hERG *, AUROC")[1:] == ["0.820 ± 0.014 (0.800 ± 0.020)", "0.900 ± 0.010 Best"]
    assert cells(text, "Caco2_Wang, MAE")[2] == "0.300 ± 0.010 Mini_Mol"  # smaller is better


def test_a_model_that_is_only_begun_is_left_out(table):
    ours = results("minimol", [0.8], [0.3]) + results("other", [0.7], [0.3])[:1]
    text = page(read_published(table, "tdc-admet"), ours, ["minimol", "other"], set())
    assert "other" not in text
    assert "Caco2_Wang" in text


def test_a_task_whose_published_numbers_are_those_of_another_is_named_and_left_out(tmp_path):
    rows = [("herg", "AUROC", f"model {i}", 0.9 - i / 100) for i in range(5)]
    rows += [("dili", "AUROC", model, value) for _, _, model, value in rows]
    rows += [("dili", "AUROC", "one more", 0.95)]
    rows += [("caco2_wang", "MAE", model, 0.3 + i / 10) for i, (_, _, model, _) in enumerate(rows[:5])]
    path = tmp_path / "board.csv"
    path.write_text("task,metric,model,mean,sd\n" + "".join(f"{t},{m},{model},{v},\n" for t, m, model, v in rows))
    ours = [
        *results("ours", [0.5], [0.35]),
        Result("ours", "DILI", "mlp", (Score("y", "o", 0, "mlp", "AUROC", 0.5, 0.0, 8, 2),)),
    ]
    text = page(read_published(path, "tdc-admet"), ours, ["ours"], set())
    # Behind 5 on hERG, 6 on its copy and 1 on Caco2, which alone counts without them.
    assert cells(text, "**ours**")[:4] == ["**ours**", "5.00", "5.00", "2.00"]
    assert "**hERG and DILI have the same published numbers**" in text


def test_equal_numbers_of_few_models_are_chance():
    theirs = np.array([[0.9, 0.8, 0.7, 0.6, np.nan], [0.9, 0.8, 0.7, 0.6, 0.5], [0.9, 0.8, 0.7, 0.6, 0.4]])
    assert copied_rows(theirs) == {}
    assert copied_rows(theirs[[1, 1, 2]]) == {1: 0}


def test_heads_and_metrics_have_our_names(tmp_path):
    path = tmp_path / "bench.csv"
    path.write_text("dataset,embedder,head,cv_auroc,test_auroc\nSkin__Reaction,ECFP_count,ridge,.8,.7\n")
    published = read_published(path, "embedding-benchmark")
    assert published.namesake("ecfp-count") == "ECFP_count"
    assert published.number("ECFP_count", "Skin_Reaction", "linear", "AUROC").mean == 0.7
    assert np.isnan(published.number("ECFP_count", "Skin_Reaction", "knn", "AUROC").mean)
    assert spelling("Skin__Reaction") == spelling("skin reaction")


@pytest.mark.parametrize(
    ("text", "protocol", "message"),
    [
        (TABLE, "strict", "Nothing is published under the protocol strict"),
        ("task,model\nherg,x\n", "tdc-admet", "no column 'metric'"),
        (TABLE + "herg,AUROC,3,Third,good,0.1\n", "tdc-admet", "line 6: could not convert"),
    ],
)
def test_a_table_that_cannot_be_read_is_explained(tmp_path, text, protocol, message):
    path = tmp_path / "board.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_published(path, protocol)
    with pytest.raises(InputError, match="cannot be read"):
        read_published(tmp_path / "none.csv", "tdc-admet")
