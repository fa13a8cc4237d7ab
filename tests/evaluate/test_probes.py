"""Stacked probes against one torch module, trained alone."""

import numpy as np
import torch

from molmv.evaluate.features import make_features
from molmv.evaluate.probes import Probes, predict, train


def plain(probes: Probes, which: int, d: int) -> torch.nn.Module:
    """The same probe as torch modules, with a copy of the weights."""
    module = torch.nn.Sequential(
        torch.nn.Linear(d, probes.hidden),
        torch.nn.LayerNorm(probes.hidden),
        torch.nn.ReLU(),
        torch.nn.Linear(probes.hidden, 1),
    )
    with torch.no_grad():
        module[0].weight.copy_(probes.first[which].T)
        module[0].bias.copy_(probes.first_bias[which, 0])
        module[3].weight.copy_(probes.last[which].T)
        module[3].bias.copy_(probes.last_bias[which, 0])
    return module


def test_a_stack_learns_what_each_probe_would_alone():
    random = np.random.default_rng(0)
    X, y = random.normal(size=(90, 7)).astype(np.float32), random.integers(0, 2, 90).astype(float)
    rows = np.stack([random.permutation(90)[:60] for _ in range(3)])
    probes, order = Probes(7, (0, 1, 2), hidden=16), Probes(7, (0, 1, 2), hidden=16)
    alone = [plain(probes, i, 7) for i in range(3)]
    features = make_features(X, list(rows))
    assert list(train(probes, features, y, rows, True, epochs=3, batch=25)) == [1, 2, 3]

    orders = [torch.from_numpy(rows).gather(1, order.shuffled(60)) for _ in range(3)]
    for i, module in enumerate(alone):
        Z = torch.from_numpy(((X - X[rows[i]].mean(0)) / X[rows[i]].std(0)).astype(np.float32))
        optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)
        for epoch in orders:
            for batch in epoch[i].split(25):
                optimiser.zero_grad()
                target = torch.from_numpy(y[batch.numpy()].astype(np.float32))
                torch.nn.functional.binary_cross_entropy_with_logits(module(Z[batch])[:, 0], target).backward()
                optimiser.step()
        mine = predict(probes, features, np.tile(np.arange(90), (3, 1)))[i]
        np.testing.assert_allclose(mine, module(Z)[:, 0].detach().numpy(), atol=2e-4)


def test_a_seed_is_a_probe_whoever_stands_beside_it():
    first, second = Probes(5, (7,)), Probes(5, (1, 7))
    assert torch.equal(first.first[0], second.first[1])
    assert torch.equal(first.shuffled(20)[0], second.shuffled(20)[1])


def test_sparse_and_dense_features_teach_the_same():
    random = np.random.default_rng(1)
    X = random.poisson(0.05, (80, 40)).astype(np.float32)
    X[:, 3] = 2  # a constant
    X[70, 5] = 1e30  # a descriptor gone wrong, in a row that scales nothing
    y = random.normal(size=80)
    for fitted_on in ([np.arange(70)], [random.permutation(70)[:50] for _ in range(2)]):
        rows = np.stack([random.permutation(70)[:50] for _ in range(2)])
        said = []
        for sparse in (False, True):
            features, probes = make_features(X, fitted_on, sparse), Probes(40, (0, 1), hidden=16)
            batch, W = features.take(torch.from_numpy(rows[:, :9])), torch.from_numpy(random.normal(size=(2, 40, 4)))
            assert batch.times(W.float()).shape == (2, 9, 4)
            list(train(probes, features, y, rows, False, epochs=4, batch=16))
            said.append(predict(probes, features, np.tile(np.arange(80), (2, 1))))
        np.testing.assert_allclose(said[0], said[1], atol=1e-4)
