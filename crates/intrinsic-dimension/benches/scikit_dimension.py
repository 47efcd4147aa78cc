"""What scikit-dimension estimates on the manifolds of `reproduce intrinsic-dimension --tier small`, experiment `all-manifolds`.

    pip install scikit-dimension
    python crates/intrinsic-dimension/benches/scikit_dimension.py > estimates.json

1,000 points of each manifold and three seeds; the settings are those of the Rust estimators beside it.
"""

import json
import statistics
import sys

import skdim

ESTIMATORS = {
    "MLE, k = 20": lambda x: skdim.id.MLE().fit(x, n_neighbors=20).dimension_,
    "TwoNN": lambda x: skdim.id.TwoNN().fit(x).dimension_,
    "MOM, k = 20": lambda x: statistics.harmonic_mean(skdim.id.MOM().fit(x, n_neighbors=20).dimension_pw_),
    "Correlation integral": lambda x: skdim.id.CorrInt(k1=10, k2=20).fit(x).dimension_,
    "Local PCA": lambda x: skdim.id.lPCA(ver="FO", alphaFO=0.05).fit_pw(x, n_neighbors=60).dimension_pw_.mean(),
    "PCA, 95 %": lambda x: skdim.id.lPCA(ver="ratio", alphaRatio=0.95).fit(x).dimension_,
}

sets = [skdim.datasets.BenchmarkManifolds(random_state=seed).generate(n=1000) for seed in range(3)]
table = {}
for name in sets[0]:
    table[name] = {}
    for estimator, fit in ESTIMATORS.items():
        found = []
        for points in sets:
            try:
                found.append(float(fit(points[name])))
            except Exception as error:  # What it cannot estimate stays out of the table.
                print(name, estimator, error, file=sys.stderr)
        if found:
            table[name][estimator] = [statistics.mean(found), statistics.stdev(found) if len(found) > 1 else None]
json.dump(table, sys.stdout, indent=1)
