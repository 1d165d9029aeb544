"""The fields every config has, with the same names everywhere."""

from ml_collections import ConfigDict


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
    config.data.batch_size = 64
    config.data.valid_split = ""  # whose likelihood would cost more than the training
    config.train.steps = 4_000
    config.train.steps_per_call = 10
    config.train.log_every = 100
    config.train.sample_every = 0
    config.train.checkpoint_every = 1_000
    config.train.ema_decay = 0.998
    config.train.learning_rate = 2e-3
    config.train.warmup = 200
    config.model.channels = (32, 64)
    config.model.patch = 2  # 14 x 14 -> 7 x 7
    config.model.fourier = (5, 6, 7)  # steps of grey are 2^-7 apart
    config.model.blocks = 1
    config.model.groups = 8
    config.model.dropout = 0.0
