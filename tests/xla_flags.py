"""XLA's options in tests: tiny programs run at once and take long to compile, four to eight times as long optimized."""

QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
QUICK += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"


def quick_on(devices: int) -> str:
    """Return the flags for so many virtual CPU devices."""
    return f"--xla_force_host_platform_device_count={devices} {QUICK}"
