"""Every benchmark in one run: python -m benchmarks.run [--quick] [NAME ...]

A benchmark is a module of this package with `report(rounds)`, which yields lines of text. Contestants take turns and
a ratio is the median over rounds, so that it holds on a noisy machine; peers that are not installed are named.
"""

import argparse
import importlib
import importlib.util

import jax

BENCHMARKS = {  # module -> what must be installed for it
    "engine": (),
    "autoregressive": (),
    "flows": (),  # names its own absent peers, one by one
    "solvers": (),
    "unet": ("torch", "diffusers"),
    "dit": ("torch", "diffusers"),
    "accelerator": (),
    "plane": ("torch", "torchcfm"),
    "autoencoders": ("torch",),
    "adversarial": ("torch",),
    "adversarial_sngan": ("torch",),
    "adversarial_stylegan2": ("torch",),
    "loader": (),
}


def main() -> None:
    """Run the benchmarks asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}.")
    print(f"device: {jax.devices()[0].device_kind} ({jax.devices()[0].platform}), jax {jax.__version__}")
    for name in arguments.names or BENCHMARKS:
        print(f"\n{name}:", end=" ")
        absent = [package for package in BENCHMARKS[name] if importlib.util.find_spec(package) is None]
        if absent:
            print(f"not measured, {', '.join(absent)} absent; install the extra 'bench'")
            continue
        for line in importlib.import_module(f"benchmarks.{name}").report(3 if arguments.quick else 9):
            print(line, flush=True)


if __name__ == "__main__":
    main()
