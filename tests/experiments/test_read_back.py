"""The score of text-to-image: a painter who paints what is said has all of it, one who mistakes a colour has none of that."""

from types import SimpleNamespace

import jax
import numpy as np

from experiments import read_back
from genjax.data import captioned_digits as cd
from genjax.data import open_source


def context_of(painter, side=16, num=240):
    """Return an EvalContext, as far as it is looked at, whose samples are painted of the attributes said."""
    digits = open_source("digits", "train").fetch(np.arange(1437))
    first = np.array([np.flatnonzero(digits["label"] == digit)[0] for digit in range(10)])

    def sample(num, text):
        said = np.array([cd.attributes_of_sentence(cd.detokenize(tokens), side) for tokens in np.asarray(text)])
        digit, colour, place = painter(*said.T)
        return cd.compose(digits["x"][first[digit], :, :, 0], colour, place, side) / 255

    held_out = open_source("captioned_digits", "test").fetch(np.arange(500))
    return SimpleNamespace(
        config=SimpleNamespace(
            eval=SimpleNamespace(num_samples=num), model=SimpleNamespace(shape=(side, side, 3)),
            data=SimpleNamespace(test_split="test"),
        ),
        key=jax.random.key(0),
        system=SimpleNamespace(to_picture=lambda x: x),
        sample=sample,
        test=lambda: iter([{**held_out, "x": held_out["x"] / 255}]),
    )


def test_what_is_painted_right_is_read_right_and_what_is_not_is_not():
    found = read_back.read_back(context_of(lambda *said: said))
    assert [found[name] for name in ("digit", "colour", "place", "all_three")] == [1, 1, 1, 1]
    assert found["colour_of_test"] == found["place_of_test"] == 1 and found["digit_of_test"] > 0.95
    assert found["light"] == found["light_of_test"] == 1 and found["n"] == 240 and found["n_test"] == 500
    wrong = read_back.read_back(context_of(lambda digit, colour, place: (digit, (colour + 1) % 6, place)))
    assert (wrong["digit"], wrong["colour"], wrong["place"], wrong["all_three"]) == (1, 0, 1, 0)


def test_the_texts_of_a_preview_are_in_order():
    texts = [cd.detokenize(tokens) for tokens in np.asarray(read_back.texts_in_order(16, 16))]
    said = np.array([cd.attributes_of_sentence(text, 16) for text in texts])
    np.testing.assert_array_equal(said[:, 0], [*range(8), *range(8)])
    np.testing.assert_array_equal(said[:, 1:], [[0, 0]] * 8 + [[1, 1]] * 8)
