#!/bin/sh
# Compiles into the folder $1 the one C module that Triton needs on NVIDIA GPUs, backends/nvidia/driver.c, as it would do
# itself on each start; images/trainer/cc hands it over. Kernels need no C compiler: ptxas is part of Triton.
set -eu
mkdir -p "$1"
backend=$(python3 -c 'from importlib.util import find_spec as f; s = f("triton"); print(s.submodule_search_locations[0] if s else "")')
[ -f "$backend/backends/nvidia/driver.c" ] || { echo "Triton is not installed: no driver is compiled" >&2; exit 0; }
headers=$(python3 -c 'import sysconfig; print(sysconfig.get_paths("posix_prefix")["include"])')
# The driver's library is there when a GPU is: a stand-in of its name is enough to be linked to.
stand_in=$(mktemp -d)
: > "$stand_in/none.c"
gcc -shared -Wl,-soname,libcuda.so.1 -o "$stand_in/libcuda.so.1" "$stand_in/none.c"
gcc "$backend/backends/nvidia/driver.c" -O3 -shared -fPIC -Wno-psabi -Wl,--no-as-needed -o "$1/driver.so" \
    -L"$stand_in" -l:libcuda.so.1 -I"$backend/backends/nvidia/include" -I"$headers"
cp "$backend/backends/nvidia/driver.c" "$1/driver.c"
rm -r "$stand_in"
