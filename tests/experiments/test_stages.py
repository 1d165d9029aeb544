"""A stage finds the stage before it by its workdir, freezes it, and samples through it; configs that grow in stages fit."""

import jax
import numpy as np
import pytest

from experiments import assemble
from experiments.configs.adversarial import progan, singan
from tests.experiments.processes import finish, parameters, start, train

SECOND = "tests/experiments/stages_config.py"


def test_two_stages_from_the_command_line(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    missing = train(second, config=SECOND)
    nowhere = train(second, f"--config.stages.toy={tmp_path / 'nowhere'}", config=SECOND)
    finish(train(first, "--config.train.steps=40"))
    _, err = finish(missing, code=2)
    assert "stages.toy is empty; give --config.stages.toy=WORKDIR of the run that trained it." in err
    _, err = finish(nowhere, code=2)
    assert len(err.strip().splitlines()) == 1 and str(tmp_path / "nowhere") in err
    assert not second.exists()

    finish(train(second, f"--config.stages.toy={first}", config=SECOND))
    before, after = parameters(first, 40), parameters(second, 4)
    frozen = {name.partition("['toy']")[2]: value for name, value in after.items() if "['toy']" in name}
    assert len(frozen) > 3
    # The first stage enters with its averaged parameters; nothing of it moved in the second stage's steps.
    averaged = {name: value for name, value in before.items() if "ema" in name}
    for leaf in ("mean", "log_scale"):
        (ema,) = (value for name, value in averaged.items() if name.endswith(f"['{leaf}']"))
        (kept,) = (value for name, value in frozen.items() if name.endswith(f"['gaussian']['{leaf}']"))
        np.testing.assert_array_equal(ema, kept)
    (shift,) = (value for name, value in after.items() if "shift" in name and value.shape == (8, 8, 1))
    assert np.abs(shift).max() > 0

    finish(start("sample", f"--workdir={second}", "--num=4", "--array"))
    (drawn,) = (np.load(path) for path in second.rglob("*.npy"))
    assert drawn.shape == (4, 8, 8, 1) and np.isfinite(drawn).all()


@pytest.mark.parametrize("module, variants", [(progan, ("", "digits_8")), (singan, ("", "1", "2"))])
def test_pictures_grow_from_stage_to_stage(module, variants):
    """Each variant takes the Variables of the one before under the name of its field in `stages`; the last one's trace."""
    key, before, system = jax.random.key(0), None, None
    for variant in variants:
        config = module.get_config(variant)
        (name,) = config.stages.keys() or (None,)
        assert (name is None) == (before is None)
        system = module.build(config, **({"stages": {name: system}} if name else {}))
        batch = jax.eval_shape(system.transform, key, assemble.example_batch(config))
        before = jax.eval_shape(system.model.init, key, batch, **({name: before} if name else {}))
    losses = [jax.eval_shape(update.loss, before, batch, key, 0)[0] for update in system.model.updates]
    assert [loss.shape for loss in losses] == [(), ()]
    drawn = jax.eval_shape(lambda v: system.model.sample(v, key, 2), before)
    assert drawn.shape[1:] == batch["x"].shape[1:]
