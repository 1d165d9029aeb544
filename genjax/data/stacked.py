"""Pictures stacked as the channels of one, a set whose modes can be counted: three of ten classes have a thousand.

    stacked/digits, stacked/mnist      x [H, W, 3], label 100 a + 10 b + c of the classes of its channels

Example i has picture i of the base set in its first channel, and the i-th of a stream of permutations of all of them in
each of the others, so that classes of channels are independent. Levels are those of the base set.

Reference: Metz et al. 2017, "Unrolled Generative Adversarial Networks", section 3.3.1, https://arxiv.org/abs/1611.02163
"""

import numpy as np

from genjax.data.source import Examples, Source

CHANNELS = 3
EPOCHS = 16  # permutations in one pass


def open_stacked(name: str, base: Source, split: str) -> Source:
    """Open stacks of a base set's grey pictures.

    Args:
        name: that it was opened by.
        base: pictures [H, W, 1] with labels.
        split: that it was opened by.
    """
    number, classes = len(base), base.info.num_classes
    # RandomState's stream is fixed for ever (NEP 19), so that a resumed run meets the same stacks.
    shuffled = lambda c: [np.random.RandomState([c, k]).permutation(number) for k in range(EPOCHS)]
    orders = [np.tile(np.arange(number), EPOCHS), *(np.concatenate(shuffled(c)) for c in range(1, CHANNELS))]
    weights = classes ** np.arange(CHANNELS - 1, -1, -1)

    def read(indices: np.ndarray) -> Examples:
        parts = [base.fetch(order[indices]) for order in orders]
        label = sum(weight * part["label"] for weight, part in zip(weights, parts))
        return {"x": np.concatenate([part["x"] for part in parts], axis=-1), "label": label.astype(np.int32)}

    info = base.info._replace(name=name, split=split, shape=(*base.info.shape[:2], CHANNELS))
    info = info._replace(num_classes=classes**CHANNELS, label_names=())
    return Source(info, number * EPOCHS, read, in_memory=base.in_memory)
