"""Removes what no training opens from the installed packages: `python slim.py` in the image, with its environment.

PyTorch needs most of CUDA's libraries merely to be loaded (readelf -d libtorch_cuda.so names them). What goes is for
compiling and profiling, and for other vendors' GPUs.
"""

import shutil
import sys
import sysconfig
from pathlib import Path

UNUSED = (
    # headers, static libraries and what writes code; torch_shm_manager stays, since torch is not imported without it
    *("torch/include", "torch/bin/protoc*", "nvidia/*/include", "nvidia/*/lib/*.a"),
    *("triton/include", "triton/backends/nvidia/include", "triton/FileCheck"),
    # profilers
    *("triton/backends/nvidia/lib/cupti*", "triton/_C/libproton.so", "triton/profiler", "triton/instrumentation"),
    *("nvidia/cu*/lib/libnvperf_*", "nvidia/cu*/lib/libpcsamplingutil.so", "nvidia/cu*/lib/libcheckpoint.so"),
    *("triton/backends/nvidia/bin/nvdisasm", "triton/backends/nvidia/bin/cuobjdump"),
    # libraries that nothing here links to
    *("nvidia/cu*/lib/libcusolverMg.so*", "nvidia/cu*/lib/libnvblas.so*", "nvidia/cu*/lib/libcufftw.so*"),
    # the code of AMD's GPUs; Triton looks for the modules of this backend, which stay
    *("triton/backends/amd/lib", "triton/backends/amd/include"),
)
"""What is removed, below the folder of the packages."""


def main() -> None:
    """Removes it, and prints how much that was."""
    packages = Path(sysconfig.get_paths()["purelib"])
    freed = 0
    for pattern in UNUSED:
        for path in sorted(packages.glob(pattern)):
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            freed += sum(file.lstat().st_size for file in files)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    print(f"removed {freed / 1e6:.0f} MB of {packages}", file=sys.stderr)


if __name__ == "__main__":
    main()
