"""The claims of lectures hold at small sizes, and each draws what it has measured."""

import json

import numpy as np
import pytest

from experiments import claims
from genjax import processes
from genjax.errors import UserError


def test_the_linear_schedule_wastes_steps():
    found, figure = claims.schedules(num=60)
    for name, table in (("linear", processes.linear_schedule(1000)), ("cosine", processes.cosine_schedule(1000))):
        assert found[f"{name}_noise"] == np.mean(np.cumprod(1.0 - table.betas[1:].astype(np.float64)) < 0.01)
    assert found["linear_readable"] < 0.5 < found["cosine_readable"]
    assert len(figure.axes) == 1 + 2 * 7


def test_langevin_dynamics_is_caught_and_annealing_frees_it():
    found, figure = claims.langevin(num=400, steps=500)
    assert abs(found["langevin"] - 0.5) < 0.1  # as the uniform start falls to either side, whatever the weights
    assert abs(found["annealed"] - found["true"]) < 0.1
    assert len(figure.axes) == 3


def test_straight_paths_are_straighter_than_diffusions():
    found, _ = claims.straight(num=200, counts=(1,))
    assert 0.0 < found["straight_curvature"] < found["diffusion_curvature"] < 1.0
    # In one step all that is known is the mean: every point goes to the middle of the ring.
    assert found["straight_w2_1"] > 2.5


def test_the_field_of_two_gaussians_divides_the_noise():
    found, figure = claims.field(num=1000)
    assert abs(found["right"] - 0.5) < 0.05 and found["mean_error"] < 0.06
    assert len(figure.axes) == 5


def test_curves_are_read_off_an_evaluated_run(tmp_path):
    run = str(tmp_path)
    with pytest.raises(UserError, match="experiments.evaluate"):
        claims.steps(workdir=run)
    curve = {"classifier_fid_20": 5.0, "classifier_fid_5": 9.0, "classifier_fid_floor": 3.8, "features": "ours"}
    names = ("accuracy", "precision", "recall", "classifier_fid")
    guided = {f"{name}_{w:g}": w + i for i, name in enumerate(names) for w in (0.5, 0.0)} | {"n": 10}
    (tmp_path / "eval.json").write_text(json.dumps({"curve": curve, "guidance": guided}))
    found, _ = claims.steps(workdir=run)
    assert found == {"at": [5.0, 20.0], "classifier_fid": [9.0, 5.0]}
    found, figure = claims.guidance(workdir=run)
    assert found["at"] == [0.0, 0.5] and found["recall"] == [2.0, 2.5] and len(figure.axes) == 2
    (tmp_path / "eval.json").write_text("{}")
    with pytest.raises(UserError, match="no evaluation 'guidance'"):
        claims.guidance(workdir=run)
