"""How long scikit-learn takes for the 20 nearest neighbors of CIFAR-10's first 10,000 images, on all cores.

    pip install scikit-learn
    python crates/intrinsic-dimension/benches/scikit_learn.py cifar-10-batches-bin/data_batch_1.bin

Beside it: `cat data_batch_1.bin | cargo run --example estimate-dimension -- 3072 0 1`, which says how long the neighbors took.
"""

import sys
import time

import numpy as np
from sklearn.neighbors import NearestNeighbors

images = np.fromfile(sys.argv[1], dtype=np.uint8).reshape(-1, 3073)[:, 1:]
for dtype in (np.float32, np.float64):
    points = images.astype(dtype)
    start = time.time()
    # The point itself is among them.
    NearestNeighbors(n_neighbors=21, algorithm="brute", n_jobs=-1).fit(points).kneighbors(points)
    print(f"{dtype.__name__}: {time.time() - start:.2f} s")
