"""Every benchmark in one run: python -m benchmarks.run [--quick]

(a) the engine's step against a loop written by hand, (b) the DDPM U-Net's training step and forward pass against
diffusers on PyTorch where that optional extra is installed, (c) the loader. Ratios are medians over rounds in
which the contestants take turns; peak memory is this process's.
"""

import argparse
import importlib.util
import resource

import jax

from benchmarks import engine, loader

DDPM = "experiments/configs/diffusion/ddpm.py"
VAE = "experiments/configs/autoencoders/vae.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    rounds = 3 if parser.parse_args().quick else 9
    print(f"device: {jax.devices()[0].device_kind} ({jax.devices()[0].platform}), jax {jax.__version__}\n")

    print("(a) engine / loop by hand, time a step; 1.00 is parity, below is ahead")
    for config, calls, dispatches in ((VAE, 1, 200), (VAE, 20, 20), (DDPM, 1, 10), (DDPM, 10, 2)):
        row = engine.measure(config, "", calls=calls, dispatches=dispatches, rounds=rounds)
        print(f"  {row['what']:45s} {row['ratio']:6.3f}   ({row['engine_ms']:.3f} ms / {row['by_hand_ms']:.3f} ms)", flush=True)

    print("\n(b) DDPM U-Net / diffusers on PyTorch, same architecture")
    if importlib.util.find_spec("diffusers") and importlib.util.find_spec("torch"):
        from benchmarks import unet

        for row in unet.measure(rounds=rounds):
            print(f"  {row['what']:45s} {row['ratio']:6.3f}   ({row['ours_ms']:.1f} ms / {row['theirs_ms']:.1f} ms)", flush=True)
    else:
        print("  not measured: install the extra 'bench' (torch, diffusers)")

    print("\n(c) loader, examples a second")
    for name, folder in loader.sets():
        row = loader.measure(name, folder)
        print(f"  {row['what']:45s} {row['loader_examples_per_s']:12,.0f}   (plain indexing {row['indexing_examples_per_s']:,.0f})")

    print(f"\npeak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
