"""A text as networks are conditioned on it."""

from typing import NamedTuple

from genjax.contract import Array


class Text(NamedTuple):
    """What a text encoder makes of a text.

    tokens: [B, L, E], one vector a token.
    pooled: [B, P], one vector of the whole text; None where there is none, which MMDiT does not take.
    """

    tokens: Array
    pooled: Array | None = None
