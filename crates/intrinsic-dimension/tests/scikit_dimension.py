"""Prints what scikit-dimension makes of the points of `scikit_dimension.rs`.

    pip install scikit-dimension==0.5.0
    python scikit_dimension.py
"""

import numpy as np
import skdim

MASK = (1 << 64) - 1


def uniform(count):
    """SplitMix64 from state 0, as numbers in [0, 1)."""
    state, numbers = 0, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        numbers.append(((z ^ (z >> 31)) >> 11) * 2.0**-53)
    return np.array(numbers)


u = uniform(600 * 4).reshape(600, 4)
points = np.column_stack([u, u[:, 0] * u[:, 1], u[:, 2] * u[:, 3] - u[:, 0] * u[:, 2]])

for k in [5, 10, 20]:
    for unbiased in [False, True]:
        for comb in ["mle", "mean", "median"]:
            mle = skdim.id.MLE(unbiased=unbiased)
            print("MLE", k, unbiased, comb, mle.fit_transform(points, n_neighbors=k, comb=comb))
for discard in [0.1, 0.25]:
    print("TwoNN", discard, skdim.id.TwoNN(discard_fraction=discard).fit_transform(points))
print("TwoNN mle", skdim.id.TwoNN(method="mle").fit_transform(points))
for comb in ["mean", "median"]:
    print("MOM", comb, skdim.id.MOM().fit_transform(points, n_neighbors=20, comb=comb))
print("CorrInt", skdim.id.CorrInt(k1=10, k2=20).fit_transform(points))
for n1, n2 in [(1, 2), (4, 8), (2, 16)]:
    print("GRIDE", n1, n2, skdim.id.GRIDE(n1=n1, n2=n2).fit_transform(points))
for version in ["FO", "ratio", "participation_ratio", "Kaiser", "maxgap", "broken_stick"]:
    settings = {"alphaRatio": 0.95} if version == "ratio" else {}
    print("lPCA", version, skdim.id.lPCA(ver=version, **settings).fit_transform(points))
    local = skdim.id.lPCA(ver=version, **settings).fit_transform_pw(points, n_neighbors=20)
    print("lPCA pointwise", version, np.mean(local))

# Of each manifold the variance and the largest eigenvalue of the covariance; needs pandas.
manifolds = skdim.datasets.BenchmarkManifolds(random_state=0)
for name, facts in manifolds.truth.iterrows():
    d, columns = int(facts["Intrinsic Dimension"]), int(facts["Number of variables"])
    sample = manifolds.generate(name=name, n=200_000, dim=columns, d=d)
    eigenvalues = np.linalg.eigvalsh(np.cov(sample.T))
    print(f'("{name}", {d}, {columns}, {float(f"{eigenvalues.sum():.5g}")}, {float(f"{eigenvalues.max():.5g}")}),')
