"""Draw samples from a trained run: python -m experiments.sample --workdir DIR --num 64

Averaged parameters are used where the run keeps them. Writes DIR/samples_<step>.png (or a scatter plot) and,
with --array, the samples themselves as a .npy file in the space of the data. What a model's sampler takes beside a
condition is set by --option, as --option truncation=0.5 (BigGAN) or --option psi=0.7 (StyleGAN2).
"""

import pathlib

import jax
import numpy as np
from absl import flags

from experiments import assemble, cli
from genjax.errors import UserError
from genjax.evaluation import pictures
from genjax.training.system import draw

flags.DEFINE_integer("num", 64, "How many.")
flags.DEFINE_integer("seed", 0, "Another seed gives other samples.")
flags.DEFINE_string("which", "last", "Which checkpoint: last, or best by the validation split.")
flags.DEFINE_multi_string("option", [], "NAME=NUMBER, an option of the model's sampler; may be given more than once.")
flags.DEFINE_string("out", None, "The picture's file; default DIR/samples_<step>.png.")
flags.DEFINE_boolean("array", False, "Also write the samples as a .npy file beside the picture.")


def main() -> None:
    values = flags.FLAGS
    if values.num < 1:
        raise UserError(f"--num={values.num} must be at least 1.")
    if values.which not in ("last", "best"):
        raise UserError(f"--which={values.which} is neither last nor best.")
    workdir = pathlib.Path(values.workdir)
    module, config = cli.read_workdir(workdir)
    run = assemble.experiment(module, config, parallel="jit")
    variables, step = assemble.trained_variables(run, workdir, which=values.which)
    options = assemble.sampler_options(run.system.model.sample, values.option)
    sample = jax.jit(lambda v, key: draw(run.system, v, key, values.num, **options))
    drawn = sample(variables, jax.random.key(values.seed))
    picture = pathlib.Path(values.out) if values.out else workdir / f"samples_{step}.png"
    pictures.save(picture, np.asarray(run.system.to_picture(drawn)), reference=assemble.reference_picture(run))
    averaged = "averaged" if config.train.ema_decay else "last"
    print(f"{values.num} samples of step {step} ({averaged} parameters) in {picture}")
    if values.array:
        np.save(picture.with_suffix(".npy"), np.asarray(drawn))
        print(f"as an array in {picture.with_suffix('.npy')}")


if __name__ == "__main__":
    cli.launch(main, __doc__, with_config=False)
