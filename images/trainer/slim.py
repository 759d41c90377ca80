"""Removes what no training opens from the installed packages: `python slim.py` in the image, with its environment.

PyTorch needs most of CUDA's libraries merely to be loaded (readelf -d libtorch_cuda.so names them). What goes is for
compiling and profiling, and for other vendors' GPUs; and out of the largest libraries what only a debugger reads.
"""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

UNUSED = (
    # headers, static libraries and what writes code; torch_shm_manager stays, since torch is not imported without it
    *("torch/include", "torch/bin/protoc*", "nvidia/*/include", "nvidia/*/lib/*.a"),
    *("triton/include", "triton/backends/nvidia/include", "triton/FileCheck"),
    # NVSHMEM's functions for kernels that call it, which ours do not
    "nvidia/*/lib/*.bc",
    # profilers
    *("triton/backends/nvidia/lib/cupti*", "triton/_C/libproton.so", "triton/profiler", "triton/instrumentation"),
    *("nvidia/cu*/lib/libnvperf_*", "nvidia/cu*/lib/libpcsamplingutil.so", "nvidia/cu*/lib/libcheckpoint.so"),
    *("triton/backends/nvidia/bin/nvdisasm", "triton/backends/nvidia/bin/cuobjdump"),
    # libraries that nothing here links to
    *("nvidia/cu*/lib/libcusolverMg.so*", "nvidia/cu*/lib/libnvblas.so*", "nvidia/cu*/lib/libcufftw.so*"),
    # other packages' own tests
    *("sympy/**/tests", "networkx/**/tests", "numpy/**/tests"),
    # the code of AMD's GPUs; Triton looks for the modules of this backend, which stay
    *("triton/backends/amd/lib", "triton/backends/amd/include"),
)
"""What is removed, below the folder of the packages."""


STRIPPED = ("triton/_C/libtriton.so", "torch/lib/*.so", "nvidia/nccl/lib/libnccl.so.*")
"""The libraries that are shipped with a symbol table, some with debug information too."""


def main() -> None:
    """Removes it, and prints how much that was."""
    packages = Path(sysconfig.get_paths()["purelib"])
    freed = remove(packages) + strip(packages)
    print(f"removed {freed / 1e6:.0f} MB of {packages}", file=sys.stderr)


def remove(packages: Path) -> int:
    """Removes the unused files below `packages` and returns how many bytes they had."""
    freed = 0
    for pattern in UNUSED:
        for path in sorted(packages.glob(pattern)):
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            freed += sum(file.lstat().st_size for file in files)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    return freed


def strip(packages: Path) -> int:
    """Strips the libraries below `packages` of what is never loaded and returns how many bytes that was."""
    libraries = [path for pattern in STRIPPED for path in sorted(packages.glob(pattern))]
    before = sum(path.stat().st_size for path in libraries)
    for path in libraries:
        subprocess.run(["/usr/bin/strip", "--strip-unneeded", path], check=True)
    return before - sum(path.stat().st_size for path in libraries)


if __name__ == "__main__":
    main()
