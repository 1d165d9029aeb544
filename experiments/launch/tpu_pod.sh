#!/usr/bin/env bash
# The launcher on all workers of a Cloud TPU VM or pod slice.
#
#   export TPU_NAME=my-pod ZONE=us-central2-b
#   experiments/launch/tpu_pod.sh setup
#   experiments/launch/tpu_pod.sh --config FILE --workdir DIR [flags]
#
# `setup` copies what is committed in this clone to every worker, as ~/genjax, and installs it there. The second
# form runs the same command on every worker; JAX reads from the machine's metadata who they are. DIR must be a
# folder that all workers see at the same path (a mounted Filestore share): every worker writes its part of a
# checkpoint. Optional: PROJECT, the cloud project; REMOTE_DIR instead of genjax.
set -euo pipefail

usage() {
  sed -n '1d; s/^# \{0,1\}//p; /^set /q' "$0"
}

if [[ $# -eq 0 || $1 == -h || $1 == --help ]]; then
  usage
  exit 0
fi
: "${TPU_NAME:?export TPU_NAME, the name of the TPU VM}" "${ZONE:?export ZONE, where the TPU VM is}"
remote_dir=${REMOTE_DIR:-genjax}
where=(--worker=all "--zone=$ZONE")
if [[ -n ${PROJECT:-} ]]; then
  where+=("--project=$PROJECT")
fi

on_all_workers() {
  gcloud compute tpus tpu-vm ssh "$TPU_NAME" "${where[@]}" "--command=$1"
}

if [[ $1 == setup ]]; then
  cd "$(dirname "$0")/../.."
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  git archive --format=tar.gz --output="$folder/genjax.tar.gz" HEAD
  gcloud compute tpus tpu-vm scp "$folder/genjax.tar.gz" "$TPU_NAME:" "${where[@]}"
  dir=$(printf '%q' "$remote_dir")
  on_all_workers "set -e; mkdir -p $dir; tar -xzf genjax.tar.gz -C $dir; cd $dir; python3 -m venv .venv; .venv/bin/python -m pip install -q -e '.[tpu]'"
else
  printf -v command ' %q' .venv/bin/python -m experiments.train --distributed "$@"
  on_all_workers "cd $(printf '%q' "$remote_dir") &&$command"
fi
