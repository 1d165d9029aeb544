"""Data: sources by name, the loader, and transforms that run on the device.

Importing this imports none of TensorFlow, TFDS, grain, scikit-learn or pillow: each is imported where a source or a
loader that needs it is opened.
"""

from genjax.data import captioned_digits  # their sentences, and the reader of pictures
from genjax.data import toy2d  # densities over the plane, as oracles
from genjax.data import transforms  # (key, batch) -> batch, on the device
from genjax.data.loader import Loader  # an endless, shuffled, resumable stream of batches
from genjax.data.loader import one_pass  # every example once, in order
from genjax.data.source import Source  # examples by index
from genjax.data.source import SourceInfo  # what they are
from genjax.data.source import from_arrays  # a source of your own arrays
from genjax.data.sources import available_splits  # the splits a data set has
from genjax.data.sources import open_source  # a data set by its name

__all__ = [
    "Loader",
    "Source",
    "SourceInfo",
    "available_splits",
    "captioned_digits",
    "from_arrays",
    "one_pass",
    "open_source",
    "toy2d",
    "transforms",
]
