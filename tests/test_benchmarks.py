"""What benchmarks count themselves."""

import jax

from benchmarks.accelerator import CHANNELS, PATCH, TINY, training_flops


def test_flops_are_those_of_the_products_in_every_block():
    """Two FLOPs an entry and term of a product, thrice with the gradients; what is no product adds a tenth at most."""
    depth, n, w, entries = 5, (TINY.side // PATCH) ** 2, TINY.width, PATCH**2 * CHANNELS
    block = n * 12 * w**2 + 2 * n**2 * w + 6 * w**2  # four projections and the perceptron; attention; modulation
    rest = n * 2 * entries * w + (256 * w + w**2) + 2 * w**2  # patches in and out; time; the last modulation
    products = 3 * 2 * TINY.batch * (depth * block + rest)
    with jax.numpy_dtype_promotion("standard"):  # jax's attention mixes bfloat16 and float32
        counted = training_flops(TINY._replace(depth=depth))
    assert 1.0 < counted / products < 1.15
