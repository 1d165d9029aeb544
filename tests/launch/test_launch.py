"""The launch scripts, as far as they can be checked without a cluster: what they execute, with faked tools.

Each fake stands first on PATH and writes its arguments to a file, one a line. The environment that SLURM gives
its tasks is checked against JAX's own detection with real processes. See experiments/launch/README.md for what
this leaves open.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.configs.common import base

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "experiments" / "launch"
SHELL = [ROOT / ".ci" / "run", LAUNCH / "slurm.sbatch", LAUNCH / "tpu_pod.sh"]
FLAGS = ["--config", "experiments/configs/diffusion/ddpm.py:tiny", "--workdir", "/runs/with space", "--config.seed=3"]
COMMAND = ["-m", "experiments.train", "--distributed", *FLAGS]


def fake(folder, name, body=""):
    """Put a command on PATH that records its arguments and working folder, and return the environment for it."""
    path = folder / name
    record = shlex.quote(str(folder / "called"))
    path.write_text(f'#!/usr/bin/env bash\nprintf "%s\\n" "$PWD" "$@" >>{record}\n{body}\n')
    path.chmod(0o755)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "XLA_", "PYTHON"))}
    return clean | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def called(folder):
    return (folder / "called").read_text().splitlines()


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shell_is_sound(script):
    subprocess.run(["bash", "-n", script], check=True)
    shellcheck = Path(sys.executable).with_name("shellcheck")
    if not shellcheck.exists():
        pytest.skip("shellcheck is not installed; the extra 'test' has it")
    done = subprocess.run([shellcheck, "--severity=style", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert os.access(script, os.X_OK)


def test_sbatch_runs_the_launcher_once_a_task(tmp_path):
    env = fake(tmp_path, "srun") | {"SLURM_SUBMIT_DIR": str(ROOT)}
    subprocess.run(["bash", LAUNCH / "slurm.sbatch", *FLAGS], env=env, cwd=tmp_path, check=True)
    folder, *arguments = called(tmp_path)
    assert folder == str(ROOT)
    assert arguments == ["--kill-on-bad-exit=1", ".venv/bin/python", *COMMAND]


def test_sbatch_outside_a_job_says_so(tmp_path):
    done = subprocess.run(["bash", LAUNCH / "slurm.sbatch"], env=fake(tmp_path, "srun"), capture_output=True, text=True)
    assert done.returncode != 0 and "submit this script with sbatch" in done.stderr


def test_sbatch_asks_for_a_process_a_gpu_and_for_sigterm_before_the_end():
    lines = (LAUNCH / "slurm.sbatch").read_text().splitlines()
    options = [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH --")]
    options = dict(option.partition("=")[::2] for option in options)
    assert options["ntasks-per-node"] == options["gpus-per-node"]
    assert options["signal"] == "TERM@120"
    # sbatch stops reading options at the first line that is neither empty nor a comment.
    first_command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert all(not line.startswith("#SBATCH") for line in lines[first_command:])


SRUN_OF_TWO_TASKS = """
export SLURM_JOB_ID={job} SLURM_STEP_NODELIST=127.0.0.1 SLURM_NTASKS=2 SLURM_STEP_NUM_NODES=1
shift  # --kill-on-bad-exit=1
for i in 0 1; do SLURM_PROCID=$i SLURM_LOCALID=$i "$@" >{folder}/task$i & tasks+=($!); done
for task in "${{tasks[@]}}"; do wait "$task" || exit 1; done
"""

JOIN = """#!{python}
import jax
from genjax.training import distributed
distributed.initialize(detect=True, coordinator=None, num_processes=None, process_id=None)
print(jax.process_index(), jax.process_count(), distributed.is_writer())
"""


def test_jax_joins_the_tasks_that_srun_starts(tmp_path):
    # JAX derives the coordinator's port from the job's number: 61440 + the number modulo 4096.
    srun = SRUN_OF_TWO_TASKS.format(job=os.getpid(), folder=shlex.quote(str(tmp_path)))
    python = tmp_path / "python"
    python.write_text(JOIN.format(python=sys.executable))
    python.chmod(0o755)
    env = fake(tmp_path, "srun", srun) | {"SLURM_SUBMIT_DIR": str(ROOT), "PYTHON": str(python), "PYTHONPATH": str(ROOT)}
    subprocess.run(["bash", LAUNCH / "slurm.sbatch", *FLAGS], env=env, check=True, timeout=120)
    assert [(tmp_path / f"task{i}").read_text() for i in (0, 1)] == ["0 2 True\n", "1 2 False\n"]


def test_tpu_pod_runs_the_launcher_on_all_workers(tmp_path):
    env = fake(tmp_path, "gcloud") | {"TPU_NAME": "pod", "ZONE": "zone-a", "PROJECT": "mine"}
    subprocess.run(["bash", LAUNCH / "tpu_pod.sh", *FLAGS], env=env, check=True)
    _, *arguments = called(tmp_path)
    where = ["--worker=all", "--zone=zone-a", "--project=mine"]
    assert arguments[:-1] == ["compute", "tpus", "tpu-vm", "ssh", "pod", *where]
    remote = arguments[-1].removeprefix("--command=")
    assert shlex.split(remote) == ["cd", "genjax", "&&", ".venv/bin/python", *COMMAND]  # the space is quoted


def test_tpu_pod_setup_copies_and_installs_on_all_workers(tmp_path):
    fake(tmp_path, "git", 'for a; do case $a in --output=*) echo tar >"${a#--output=}";; esac; done')
    env = fake(tmp_path, "gcloud") | {"TPU_NAME": "pod", "ZONE": "zone-a"}
    subprocess.run(["bash", LAUNCH / "tpu_pod.sh", "setup"], env=env, cwd=tmp_path, check=True)
    lines = called(tmp_path)
    assert lines[0] == str(ROOT) and lines[1:3] == ["archive", "--format=tar.gz"] and lines[4] == "HEAD"
    archive = lines[3].removeprefix("--output=")
    copy = lines.index("scp")
    assert lines[copy + 1 : copy + 5] == [archive, "pod:", "--worker=all", "--zone=zone-a"]
    install = lines[-1].removeprefix("--command=")
    assert f"tar -xzf {Path(archive).name} -C genjax" in install and "pip install -q -e '.[tpu]'" in install
    assert not Path(archive).exists()


@pytest.mark.parametrize("missing", ["TPU_NAME", "ZONE"])
def test_tpu_pod_names_what_is_missing(tmp_path, missing):
    env = fake(tmp_path, "gcloud") | {"TPU_NAME": "pod", "ZONE": "zone-a"}
    env[missing] = ""
    done = subprocess.run(["bash", LAUNCH / "tpu_pod.sh", *FLAGS], env=env, capture_output=True, text=True)
    assert done.returncode != 0 and f"export {missing}" in done.stderr and not (tmp_path / "called").exists()


def test_tpu_pod_helps(tmp_path):
    env = fake(tmp_path, "gcloud")
    done = subprocess.run(["bash", LAUNCH / "tpu_pod.sh"], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("The launcher on all workers") and "--config FILE --workdir DIR" in done.stdout


# Of the custom resource JobSet v1alpha2, the fields that experiments/launch/jobset.yaml uses; written down from its
# documentation. The Job inside is checked by Kubernetes' own models below.
JOBSET = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "jobset.x-k8s.io/v1alpha2"},
        "kind": {"const": "JobSet"},
        "metadata": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {"name": {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}},
        },
        "spec": {
            "type": "object",
            "required": ["replicatedJobs"],
            "additionalProperties": False,
            "properties": {
                "network": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "enableDNSHostnames": {"type": "boolean"},
                        "publishNotReadyAddresses": {"type": "boolean"},
                        "subdomain": {"type": "string"},
                    },
                },
                "failurePolicy": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"maxRestarts": {"type": "integer", "minimum": 0}},
                },
                "replicatedJobs": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["name", "template"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"},
                            "replicas": {"type": "integer", "minimum": 0},
                            "template": {
                                "type": "object",
                                "required": ["spec"],
                                "additionalProperties": False,
                                "properties": {"spec": {"type": "object"}},
                            },
                        },
                    },
                },
            },
        },
    },
}


@pytest.fixture
def manifest():
    yaml = pytest.importorskip("yaml")
    return {document["kind"]: document for document in yaml.safe_load_all((LAUNCH / "jobset.yaml").read_text())}


def job_of(manifest):
    (worker,) = manifest["JobSet"]["spec"]["replicatedJobs"]
    return worker["template"]["spec"]


def test_jobset_has_no_field_that_a_jobset_lacks(manifest):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(JOBSET)
    jsonschema.validate(manifest["JobSet"], JOBSET)
    manifest["JobSet"]["spec"]["network"]["enableDnsHostnames"] = True
    with pytest.raises(jsonschema.ValidationError, match="enableDnsHostnames"):
        jsonschema.validate(manifest["JobSet"], JOBSET)


def through_kubernetes(document, model):
    """Read a document into Kubernetes' model of it and write it out again; fields it does not know are lost."""
    client = pytest.importorskip("kubernetes.client")
    api = client.ApiClient(client.Configuration())
    return api.sanitize_for_serialization(api.deserialize(json.dumps(document), model, "application/json"))


@pytest.mark.parametrize("kind", ["ServiceAccount", "Role", "RoleBinding"])
def test_kubernetes_knows_every_field_of_the_account(manifest, kind):
    assert through_kubernetes(manifest[kind], f"V1{kind}") == manifest[kind]


def test_kubernetes_knows_every_field_of_the_job(manifest):
    job = job_of(manifest)
    limits = job["template"]["spec"]["containers"][0]["resources"]["limits"]
    limits["nvidia.com/gpu"] = str(limits["nvidia.com/gpu"])  # quantities may be numbers; the model writes strings
    assert through_kubernetes(job, "V1JobSpec") == job
    job["template"]["spec"]["containers"][0]["volumeMount"] = []
    assert through_kubernetes(job, "V1JobSpec") != job


def test_jax_finds_in_the_jobset_what_its_detection_reads(manifest):
    # The names are those that JAX and JobSet document: process i is the pod <jobset>-<job>-<0>-<i>.<jobset>, and
    # the number of processes is the parallelism of the one indexed Job.
    spec, job = manifest["JobSet"]["spec"], job_of(manifest)
    assert spec["network"] == {"enableDNSHostnames": True, "publishNotReadyAddresses": True}
    assert spec["replicatedJobs"][0]["replicas"] == 1
    assert job["completionMode"] == "Indexed" and job["completions"] == job["parallelism"] > 1
    account = manifest["ServiceAccount"]["metadata"]["name"]
    assert job["template"]["spec"]["serviceAccountName"] == account
    binding = manifest["RoleBinding"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account}]
    assert binding["roleRef"]["name"] == manifest["Role"]["metadata"]["name"]
    assert manifest["Role"]["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get"]},
    ]


def test_jobset_runs_the_launcher_and_can_save_what_it_does(manifest):
    pod = job_of(manifest)["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["python", "-m", "experiments.train"]
    values = dict(argument.removeprefix("--").partition("=")[::2] for argument in container["args"])
    assert "distributed" in values and (ROOT / values.pop("config")).is_file()
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert mounts.keys() == volumes.keys()
    assert values.pop("workdir").startswith(mounts["runs"] + "/") and "persistentVolumeClaim" in volumes["runs"]
    for name, value in values.items():
        if name.startswith("config."):
            field = base("any/one")
            for part in name.split(".")[1:]:
                field = field[part]
            assert type(field) is type(value)
