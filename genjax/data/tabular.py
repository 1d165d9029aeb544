"""Tables inside scikit-learn: Fisher's irises and the wines of three growers.

iris: 150 rows of 4 lengths in centimetres, 3 species. wine: 178 rows of 13 chemical measures, 3 growers. Columns are
scaled onto [0, 1] by the least and the largest value that the sets' own descriptions state: published facts, so that
the scaling spends no privacy. 80 % train and 20 % test, stratified by class, with the fixed seed 0.

Beside 'x' and 'label' an example has its 'index', the number of its row in the split: what PATE-GAN parts the rows by.
"""

import functools

import numpy as np

from genjax.data.source import Source, SourceInfo, from_arrays

TABLES = ("iris", "wine")


def open_table(name: str, split: str) -> Source:
    """Open a table as float32 [D] in [0, 1] with labels and row numbers; split 'train' or 'test'."""
    x, label, names = _table(name)[split]
    arrays = {"x": x, "label": label, "index": np.arange(len(x), dtype=np.int32)}
    return from_arrays(SourceInfo(name, split, x.shape[1:], x.dtype, 0, len(names), names), arrays)


@functools.cache
def _table(name: str) -> dict[str, tuple[np.ndarray, np.ndarray, tuple[str, ...]]]:
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    loaded = {"iris": datasets.load_iris, "wine": datasets.load_wine}[name]()
    low, high = loaded.data.min(axis=0), loaded.data.max(axis=0)
    x = ((loaded.data - low) / (high - low)).astype(np.float32)
    label = loaded.target.astype(np.int32)
    names = tuple(str(known) for known in loaded.target_names)
    train, test = train_test_split(np.arange(len(x)), test_size=0.2, random_state=0, stratify=label)
    return {split: (x[rows], label[rows], names) for split, rows in (("train", train), ("test", test))}
