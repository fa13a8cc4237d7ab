import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molmv.errors import ConfigError, ShapeError
from molmv.standardise import Standardiser


@pytest.fixture
def values():
    """Columns: normal, shifted and scaled, constant, with wild outliers, a rare 1, mostly NaN, two correlated."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, 8)).astype(np.float32)
    x[:, 1] = 100 + 7 * x[:, 1]
    x[:, 2] = 0.1234
    x[0, 3], x[1, 3] = 1e30, np.inf
    x[:, 4] = np.arange(6000) == 17
    x[rng.random(6000) < 0.5, 5] = np.nan
    x[:, 7] = x[:, 6] + 0.1 * x[:, 7]
    return torch.tensor(x)


def test_training_rows_end_with_mean_zero_and_sd_one(values):
    standardiser = Standardiser(8).fit(values)
    unit = standardiser.transform(values)
    assert standardiser.kept.tolist() == [0, 1, 3, 6, 7]
    assert standardiser.dropped.tolist() == [2, 4, 5]
    assert standardiser.out_dim == unit.shape[1] == 5
    torch.testing.assert_close(unit.mean(0), torch.zeros(5), rtol=0, atol=1e-3)
    torch.testing.assert_close(unit.std(0), torch.ones(5), rtol=0, atol=1e-3)


def test_scale_without_clip_is_the_z_score():
    x = torch.randn(500, 3) * torch.tensor([1.0, 5.0, 0.01]) + 4
    unit = Standardiser(3, quantile=0.0).fit(x).transform(x)
    torch.testing.assert_close(unit, (x - x.mean(0)) / x.std(0, correction=0), rtol=1e-4, atol=1e-4)


def test_outliers_are_clipped_and_do_not_flatten_their_column(values):
    unit = Standardiser(8).fit(values).transform(values)
    assert unit[:2, 2].tolist() == [unit[:, 2].max().item()] * 2
    assert 2 < unit[0, 2] < 5


def test_max_sd_bounds_what_quantiles_do_not():
    x = torch.zeros(1000, 1)
    x[:10] = torch.linspace(100, 200, 10)[:, None]
    unit = Standardiser(1, quantile=0.0, max_sd=3.0).fit(x).transform(x)
    assert unit.max().item() == pytest.approx(3.0, rel=1e-5)


def test_inverse_gives_the_teachers_units_and_full_width(values):
    standardiser = Standardiser(8).fit(values)
    back = standardiser.inverse(standardiser.transform(values[2:]))
    assert back.shape == (5998, 8)
    inside = (standardiser.low <= values[2:, standardiser.kept]) & (values[2:, standardiser.kept] <= standardiser.high)
    torch.testing.assert_close(
        back[:, standardiser.kept][inside], values[2:, standardiser.kept][inside], rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(back[:, 2], values[2:, 2])
    assert (back[:, 4] == 0).all()


def test_inverse_sd_is_the_spread_of_inverted_samples(values):
    for mode in ("scale", "whiten"):
        standardiser = Standardiser(8, mode).fit(values)
        sd = torch.linspace(0.5, 2, standardiser.out_dim)[None]
        samples = sd * torch.randn(40_000, standardiser.out_dim, generator=torch.Generator().manual_seed(0))
        found = standardiser.inverse_sd(sd)[0]
        torch.testing.assert_close(found, standardiser.inverse(samples).std(0), rtol=0.02, atol=1e-5)


def test_whiten_gives_uncorrelated_components(values):
    standardiser = Standardiser(8, "whiten").fit(values)
    white = standardiser.transform(values)
    torch.testing.assert_close(torch.cov(white.T), torch.eye(5), rtol=0, atol=2e-3)
    inner = values[
        ((values[:, [0, 1, 6, 7]] - torch.tensor([0, 100, 0, 0])).abs() < torch.tensor([3, 20, 3, 3])).all(1)
    ]
    torch.testing.assert_close(
        standardiser.inverse(standardiser.transform(inner))[:, [0, 1, 6, 7]],
        inner[:, [0, 1, 6, 7]],
        rtol=1e-4,
        atol=1e-4,
    )


def test_whiten_drops_redundant_components():
    x = torch.randn(500, 3)
    doubled = torch.cat([x, 2 * x], dim=1)
    standardiser = Standardiser(6, "whiten").fit(doubled)
    assert standardiser.out_dim == 3
    torch.testing.assert_close(standardiser.inverse(standardiser.transform(doubled)), doubled, rtol=1e-3, atol=1e-3)


def test_identity_drops_constant_bits_and_keeps_the_dtype():
    bits = torch.randint(0, 2, (5000, 6), dtype=torch.uint8)
    bits[:, 2], bits[:, 5] = 1, 0
    bits[7, 5] = 1
    standardiser = Standardiser(6, "identity").fit(bits)
    kept = standardiser.transform(bits)
    assert kept.dtype == torch.uint8
    assert torch.equal(kept, bits[:, [0, 1, 3, 4]])
    back = standardiser.inverse(kept)
    assert torch.equal(back[:, :5], bits[:, :5].float())
    torch.testing.assert_close(back[:, 5], torch.zeros(5000))


def test_only_valid_rows_count():
    x = torch.randn(300, 2)
    spoiled = torch.cat([x, torch.full((50, 2), 1e6), torch.full((50, 2), torch.nan)])
    valid = torch.arange(400) < 300
    one, other = Standardiser(2).fit(x), Standardiser(2).fit(spoiled.numpy(), valid.numpy())
    torch.testing.assert_close(one.centre, other.centre)
    torch.testing.assert_close(one.scale, other.scale)


def test_a_nan_stays_a_nan_and_infinities_are_clipped(values):
    standardiser = Standardiser(8).fit(values)
    row = values[:1].clone()
    row[0, 0], row[0, 1], row[0, 6] = torch.nan, torch.inf, -torch.inf
    unit = standardiser.transform(row)[0]
    assert unit[0].isnan()
    assert unit[[1, 3]].isfinite().all()


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_chunks_do_not_matter(sizes):
    x = torch.randn(sum(sizes), 2, generator=torch.Generator().manual_seed(0))
    x = torch.cat([x, x + 1])
    whole, chunked = Standardiser(2, sample_rows=10_000), Standardiser(2, sample_rows=10_000)
    whole.partial_fit(x)
    for chunk in x.split([*sizes, sum(sizes)]):
        chunked.partial_fit(chunk)
    torch.testing.assert_close(whole.finish().state_dict(), chunked.finish().state_dict())


def test_the_sample_of_a_long_stream_is_uniform():
    """A stream that drifts: the centre is that of all rows, not of the first or last ones."""
    standardiser = Standardiser(1, sample_rows=2000)
    for start in range(0, 40_000, 1000):
        standardiser.partial_fit(torch.arange(start, start + 1000.0)[:, None])
    standardiser.finish()
    # Uniform on 0..40,000: standard error of the mean of 2,000 is 258.
    assert abs(standardiser.centre.item() - 20_000) < 4 * 258
    assert standardiser.scale.item() == pytest.approx(40_000 / 12**0.5, rel=0.06)


@pytest.mark.parametrize("mode", ["scale", "whiten", "identity"])
def test_state_dict_restores_an_unfitted_one(mode, values):
    fitted = Standardiser(8, mode).fit(values)
    module = torch.nn.ModuleDict({"teacher": Standardiser(8, mode)})
    module.load_state_dict({f"teacher.{name}": value for name, value in fitted.state_dict().items()})
    assert torch.equal(
        module["teacher"].transform(values[2:9]).nan_to_num(), fitted.transform(values[2:9]).nan_to_num()
    )
    assert copy.deepcopy(module)["teacher"].out_dim == fitted.out_dim
    with pytest.raises(ConfigError, match="fitted already"):
        module["teacher"].partial_fit(values)


def test_wrong_input(values):
    with pytest.raises(ConfigError, match="'zscore'"):
        Standardiser(3, "zscore")
    with pytest.raises(ConfigError, match=r"quantile=0\.7"):
        Standardiser(3, quantile=0.7)
    with pytest.raises(ConfigError, match="not fitted"):
        Standardiser(8).transform(values)
    with pytest.raises(ConfigError, match="at least one valid row"):
        Standardiser(8).fit(values, torch.zeros(6000, dtype=torch.bool))
    with pytest.raises(ConfigError, match="8 constant"):
        Standardiser(8).fit(torch.ones(10, 8))
    with pytest.raises(ShapeError, match=r"\(rows, 7\), got \(6000, 8\)"):
        Standardiser(7).fit(values)
    with pytest.raises(ShapeError, match=r"\(6000,\), got \(3,\)"):
        Standardiser(8).partial_fit(values, torch.ones(3, dtype=torch.bool))
    with pytest.raises(ShapeError, match=r"\(rows, 5\), got \(6000, 8\)"):
        Standardiser(8).fit(values).inverse(values)
