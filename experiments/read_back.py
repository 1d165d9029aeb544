"""What configs of text-to-image on captioned digits share: texts to draw from, and the score by reading pictures back."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array
from genjax.data import captioned_digits
from genjax.training.system import EvalContext

SHOWN = 8  # columns of a preview


def random_texts(side: int) -> Callable[[Array, int], Array]:
    """Return (key, num) -> tokens `[num, L]` of sentences drawn alike from all there are about a canvas."""

    def condition(key: Array, num: int) -> Array:
        table = jnp.asarray(captioned_digits.sentences(side)).reshape(-1, captioned_digits.LENGTH)
        return table[jax.random.randint(key, (num,), 0, len(table))]

    return condition


def texts_in_order(side: int, num: int) -> Array:
    """Return tokens `[num, L]` for a grid of eight columns: its columns are 0 to 7, its rows change colour and place."""
    number = np.arange(num)
    row = number // SHOWN
    shown = captioned_digits.Attributes(
        number % SHOWN, row % len(captioned_digits.COLOURS), row % len(captioned_digits.places(side))
    )
    return jnp.asarray(captioned_digits.sentences(side)[captioned_digits.label_of(shown, side), number % 4])


def read_back(context: EvalContext) -> dict[str, Any]:
    """Draw a picture for each of as many sentences as `config.eval.num_samples`, and read what they show.

    Args:
        context: of a system conditioned on the tokens of captioned digits.

    Returns:
        'digit', 'colour', 'place' and 'all_three': shares of pictures in which that is read which the sentence says;
        'light': mean share of a picture's light in the cell that was read (1 in true pictures); the same with
        '_of_test' behind for held-out pictures and their sentences; 'n' pictures, 'n_test' and 'split'.
    """
    num, side = int(context.config.eval.num_samples), context.config.model.shape[0]
    text = random_texts(side)(jax.random.fold_in(context.key, 4), num)
    look = lambda x: np.asarray(context.system.to_picture(x), np.float64)
    held_out = list(context.test())
    test = np.concatenate([look(batch["x"]) for batch in held_out])
    label = np.concatenate([np.asarray(batch["label"]) for batch in held_out])
    drawn = _score(look(context.sample(num, text)), _said(np.asarray(text), side))
    true = _score(test, captioned_digits.attributes_of(label, side))
    true = {f"{name}_of_test": value for name, value in true.items()}
    return {**drawn, **true, "n": num, "n_test": len(test), "split": context.config.data.test_split}


def _said(text: np.ndarray, side: int) -> captioned_digits.Attributes:
    sentences = map(captioned_digits.detokenize, text)
    found = [captioned_digits.attributes_of_sentence(sentence, side) for sentence in sentences]
    return captioned_digits.Attributes(*np.array(found).T)


def _score(pictures: np.ndarray, said: captioned_digits.Attributes) -> dict[str, float]:
    reading = captioned_digits.read_back(pictures)
    right = {name: part == getattr(said, name) for name, part in reading.attributes._asdict().items()}
    right["all_three"] = np.all(list(right.values()), axis=0)
    return {name: float(np.mean(part)) for name, part in right.items()} | {"light": float(reading.share.mean())}
