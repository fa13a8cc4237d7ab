"""A distill.toml is read once; whatever is wrong in it is named."""

import dataclasses
from pathlib import Path

import pytest

from molmv.distill.config import read_config
from molmv.errors import ConfigError

GOOD = """
name = "tiny"
output = "build/tiny"
teachers = ["ecfp", "maccs"]
[data]
corpus = "corpus.smi"
stores = "stores"
[train]
steps = 10
"""


def read(tmp_path: Path, text: str):
    path = tmp_path / "distill.toml"
    path.write_text(text, encoding="utf-8")
    return read_config(path)


def with_line(table: str, line: str) -> str:
    """The good config with one more line in a table (``""`` = the top), in place of one of the same key."""
    kept = [old for old in GOOD.splitlines() if old.partition("=")[0] != line.partition("=")[0]]
    if not table:
        return "\n".join([line, *kept])
    if f"[{table}]" not in kept:
        kept.append(f"[{table}]")
    kept.insert(kept.index(f"[{table}]") + 1, line)
    return "\n".join(kept)


def test_defaults(tmp_path: Path):
    config = read(tmp_path, GOOD)
    assert config.teachers == ("ecfp", "maccs")
    assert (config.train.steps, config.train.batch_size, config.seed) == (10, 512, 0)
    assert (config.loss.objective, config.loss.noise, config.data.held_out) == ("gaussian", 1.0, 0.02)
    assert dict(config.student) == {"kind": "gine"}


def test_whole_numbers_are_numbers(tmp_path: Path):
    assert read(tmp_path, with_line("loss", "noise = 1")).loss.noise == 1.0


def test_weights_by_teacher(tmp_path: Path):
    weights = read(tmp_path, with_line("loss", "weights = {ecfp = 2, maccs = 0.5}")).loss.weights
    assert weights == {"ecfp": 2, "maccs": 0.5}


def test_configs_of_the_repository_are_read(root: Path):
    found = list((root / "configs").glob("*.toml"))
    assert found
    for path in found:
        assert read_config(path).name == path.stem


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("", "teacher = []", "unknown key 'teacher'. Did you mean 'teachers'"),
        ("train", "step_count = 1", "train: unknown key 'step_count'"),
        ("train", "learning_rat = 1.0", "Did you mean 'learning_rate'"),
        ("loss", "zzz = 1", "loss: unknown key 'zzz'.$"),
        ("data", "heldout = 0.1", "Did you mean 'held_out'"),
        ("tracking", "url = ''", "Did you mean 'uri'"),
    ],
)
def test_unknown_key_is_named_with_the_nearest(tmp_path: Path, table: str, line: str, message: str):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, with_line(table, line))


@pytest.mark.parametrize("line", ["name", "output", "teachers", "corpus", "stores", "steps"])
def test_missing_key_is_named(tmp_path: Path, line: str):
    text = "\n".join(old for old in GOOD.splitlines() if not old.startswith(line))
    with pytest.raises(ConfigError, match=f"{line} must be given"):
        read(tmp_path, text)


def test_missing_tables_are_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="data, train must be given"):
        read(tmp_path, GOOD[: GOOD.index("[data]")])


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("", "name = 3", "name: expected str, found 3"),
        ("", 'teachers = "ecfp"', "teachers: expected a list of strings, found 'ecfp'"),
        ("", "teachers = []", "teachers: expected a list of strings"),
        ("", "teachers = [1]", "teachers: expected a list of strings"),
        ("", "seed = 1.5", "seed: expected int, found 1.5"),
        ("", "seed = true", "seed: expected int, found True"),
        ("", 'student = "gine"', "student: expected a table, found 'gine'"),
        ("", "loss = 3", "loss: expected a table, found 3"),
        ("train", "steps = 1e3", "train: steps: expected int, found 1000.0"),
        ("train", 'learning_rate = "fast"', "train: learning_rate: expected float, found 'fast'"),
        ("train", "learning_rate = true", "train: learning_rate: expected float, found True"),
        ("train", "precision = 32", "train: precision: expected str, found 32"),
        ("loss", "weights = 2", "loss: weights: expected str or a table, found 2"),
        ("tracking", "mlflow = 1", "tracking: mlflow: expected bool, found 1"),
    ],
)
def test_wrong_type_is_named(tmp_path: Path, table: str, line: str, message: str):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, with_line(table, line))


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("", "name = ''"),
        ("", "name = 'a/b'"),
        ("", "teachers = ['ecfp', 'ecfp']"),
        ("", "seed = -1"),
        ("", "seed = 4294967296"),
        ("train", "steps = 0"),
        ("train", "batch_size = 0"),
        ("train", "learning_rate = 0.0"),
        ("train", "learning_rate = nan"),
        ("train", "learning_rate = inf"),
        ("train", "weight_decay = -0.1"),
        ("train", "warmup = 1.0"),
        ("train", "clip = 0.0"),
        ("train", "precision = '16'"),
        ("train", "device = 'tpu'"),
        ("train", "threads = -1"),
        ("train", "keep = -0.1"),
        ("train", "keep = 1.0\nstart = 'earlier'"),
        ("train", "keep = 0.5"),
        ("train", "validate_every = 0"),
        ("train", "checkpoint_every = 0"),
        ("data", "held_out = 0.0"),
        ("data", "held_out = 1.0"),
        ("data", "rows = -1"),
        ("loss", "objective = 'nle'"),
        ("loss", "weights = 'uniformly'"),
        ("loss", "weights = {ecfp = 1.0}"),
        ("loss", "weights = {ecfp = 1.0, maccs = -1.0}"),
        ("loss", "weights = {ecfp = 1.0, maccs = 'a'}"),
        ("loss", "noise = -0.5"),
        ("loss", "noise = inf"),
        ("loss", "hidden = 0"),
        ("loss", "depth = -1"),
        ("loss", "teacher_dropout = 1.0"),
        ("student", "layers = 3"),
    ],
)
def test_impossible_value_is_named(tmp_path: Path, table: str, line: str):
    key = "student" if table == "student" else f"{table}.{line.split()[0]}".lstrip(".")
    with pytest.raises(ConfigError, match=rf"distill\.toml: {key}: expected .*; found "):
        read(tmp_path, with_line(table, line))


def test_unreadable_files_are_named(tmp_path: Path):
    for text, message in (("name =", "not a TOML file"), ("a = 1\na = 2", "not a TOML file")):
        with pytest.raises(ConfigError, match=rf"distill\.toml: {message}"):
            read(tmp_path, text)
    (tmp_path / "latin.toml").write_bytes('name = "Åsa"'.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.toml: not a TOML file"):
        read_config(tmp_path / "latin.toml")
    with pytest.raises(ConfigError, match=r"no-such.*cannot be read"):
        read_config(tmp_path / "no-such.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path)


def test_digest_is_of_what_decides_the_result(tmp_path: Path):
    config = read(tmp_path, GOOD)
    elsewhere = dataclasses.replace(
        config,
        output="other",
        tracking=dataclasses.replace(config.tracking, uri="sqlite:///x.db"),
        train=dataclasses.replace(config.train, threads=3, validate_every=7, checkpoint_every=9, device="cpu"),
    )
    assert elsewhere.digest == config.digest
    decisive = [
        {"seed": 1},
        {"teachers": ("maccs", "ecfp")},
        {"student": {"kind": "gine", "layers": 3}},
        {"train": dataclasses.replace(config.train, steps=11)},
        {"train": dataclasses.replace(config.train, precision="32")},
        {"loss": dataclasses.replace(config.loss, noise=0.4)},
        {"data": dataclasses.replace(config.data, held_out=0.03)},
    ]
    digests = {dataclasses.replace(config, **change).digest for change in decisive}
    assert len(digests | {config.digest}) == len(decisive) + 1


def test_presets_are_the_papers_losses_and_keys_beside_them_overrule(tmp_path: Path):
    head = GOOD.partition("[loss]")[0]
    paper = read(tmp_path, head + '\n[loss]\npreset = "paper"\nhidden = 64\n').loss
    assert (paper.objective, paper.noise, paper.depth, paper.hidden) == ("gaussian", 0.0, 2, 64)
    raw = read(tmp_path, head + '\n[loss]\npreset = "paper-l2"\n').loss
    assert (raw.objective, raw.scaling) == ("mse", "identity")


@pytest.mark.parametrize(
    ("loss", "key"),
    [
        ('preset = "papers"', "loss.preset"),
        ('scaling = "minmax"', "loss.scaling"),
        ('likelihoods = { nobody = "mse" }', "loss.likelihoods"),
        ('likelihoods = { ecfp = "cauchy" }', "loss.likelihoods"),
    ],
)
def test_impossible_losses_are_refused(tmp_path: Path, loss: str, key: str):
    head = GOOD.partition("[loss]")[0]
    with pytest.raises(ConfigError, match=key):
        read(tmp_path, f"{head}\n[loss]\n{loss}\n")
