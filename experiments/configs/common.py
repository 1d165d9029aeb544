"""The fields every config has, with the same names everywhere."""

from ml_collections import ConfigDict

from genjax.data_path import DataPath, dequantized_logit, dequantized_symmetric, standardized
from genjax.errors import UserError


def base(name: str) -> ConfigDict:
    """Return the defaults that a config starts from; `name` is `<family>/<id>`."""
    config = ConfigDict()
    config.name = name
    config.seed = 0

    config.data = ConfigDict()
    config.data.name = "digits"  # an embedded source, a TFDS set, or 'folder'
    config.data.dir = ""  # where TFDS sets lie prepared, or the image folder
    config.data.split = "train"
    config.data.valid_split = ""  # scored during training, and selects the best checkpoint; '' for none
    config.data.test_split = "test"  # scored by experiments.evaluate alone
    config.data.batch_size = 128  # global, over all devices and processes
    config.data.workers = 2  # reading threads a process

    config.model = ConfigDict()

    config.stages = ConfigDict()  # workdirs of earlier stages, by the names `build` documents

    config.train = ConfigDict()
    config.train.steps = 1000
    config.train.steps_per_call = 10  # steps in one dispatch
    config.train.precision = "float32"  # compute dtype: float32 or bfloat16; parameters stay float32
    config.train.parallel = "jit"  # jit, sharded, fsdp or pmap
    config.train.accumulate = 1  # microbatches a step
    config.train.clip_norm = 0.0  # global gradient norm; 0 for none
    config.train.ema_decay = 0.0  # averaged parameters; 0 for none
    config.train.log_every = 100
    config.train.sample_every = 0  # 0: only at the end
    config.train.valid_every = 0  # 0: only at the end
    config.train.checkpoint_every = 1000
    config.train.keep = 2  # newest checkpoints kept, beside the best

    config.sample = ConfigDict()
    config.sample.num = 64

    config.eval = ConfigDict()
    config.eval.batch_size = 256
    config.eval.num_samples = 1000  # drawn for evaluations that compare samples

    config.expected = ConfigDict()  # what the run should give: result and cost, in words
    config.expected.result = ""
    config.expected.cost = ""
    return config


def mnist_on_a_cpu(config: ConfigDict) -> None:
    """Make of a model of MNIST by a U-Net one small enough for a CPU: the network sees 2 x 2 patches."""
    config.data.batch_size = 32
    config.data.valid_split = ""  # whose likelihood would cost more than the training
    config.train.steps = 6_000
    config.train.steps_per_call = 10
    config.train.log_every = 100
    config.train.sample_every = 0
    config.train.checkpoint_every = 1_500
    config.train.ema_decay = 0.998
    config.train.learning_rate = 2e-3
    config.train.warmup = 200
    config.model.channels = (32, 64)
    config.model.patch = 2  # 14 x 14 -> 7 x 7
    config.model.blocks = 1
    config.model.groups = 8
    config.model.dropout = 0.0


def pixel_fields(config: ConfigDict) -> None:
    """Set how pixels become the reals that a density in continuous time models."""
    config.model.reals = "symmetric"  # in [-1, 1]; or logit, on the line
    config.model.logit_alpha = 1e-6  # of logit alone, as the next two
    config.model.logit_mean = 0.0  # of the logits of all pixels
    config.model.logit_std = 1.0


def mnist_logits(config: ConfigDict) -> None:
    """Model MNIST's pixels by their logits: black then fills a tenth of the range, and not a 256th.

    Half of the entries of [-1, 1] would otherwise be told apart by noise of 0.004 alone, and with them most of the bits.
    """
    config.model.reals = "logit"
    config.model.logit_mean = -4.95
    config.model.logit_std = 3.62


def pixel_path(model: ConfigDict) -> DataPath:
    """Return the path of stored pixels that `pixel_fields` names.

    Raises:
        UserError: it names none.
    """
    if model.reals == "symmetric":
        return dequantized_symmetric(model.levels)
    if model.reals == "logit":
        logits = dequantized_logit(model.levels, model.logit_alpha)
        return standardized(logits, mean=model.logit_mean, std=model.logit_std)
    raise UserError(f"model.reals={model.reals!r} is neither symmetric nor logit.")
