#!/bin/bash
# Stops only what the scripts started; unmounts; removes the namespace and the state. Also after a run that was killed.
. "$(dirname "$0")/lib.sh"
# The names of network namespaces, CNI's cache and runc's state are shared with any other Kubernetes of this machine.
for p in /proc/[0-9]*; do
  words=$(tr '\0' ' ' 2>/dev/null <$p/cmdline)
  [[ ${words%% *} == *kubelet && $words != *"$RUN"* ]] && { echo "a kubelet that is not ours runs, process ${p#/proc/}; nothing is torn down" >&2; exit 1; }
done
# A pid file may be older than the last boot: its process is ours only while it still runs the program that it names.
ours() {
  local p; p=$(cat "$1" 2>/dev/null) && [ -n "$p" ] && tr '\0' ' ' 2>/dev/null </proc/$p/cmdline | grep -q "${1##*/}" && echo "$p"
}
ended() {                        # waits at most 5 s for these to end
  local n i
  for i in $(seq 50); do
    for n in "$@"; do ours $PIDS/$n >/dev/null && { sleep 0.1; continue 2; }; done
    return
  done
}
for n in "" 2; do
  CSOCK=/run/k8s-containerd$n/containerd.sock; CTR="ctr -a $CSOCK -n k8s.io"
  [ -S $CSOCK ] && [ -d $RUN ] && $CTR version >/dev/null 2>&1 || continue
  p=$(ours $PIDS/kubelet$n) && kill $p && sleep 1
  for t in $($CTR tasks ls -q 2>/dev/null); do $CTR tasks kill -s KILL -a $t >/dev/null 2>&1; done
  sleep 1
  for t in $($CTR tasks ls -q 2>/dev/null); do $CTR tasks rm -f $t >/dev/null 2>&1; done
  for c in $($CTR containers ls -q 2>/dev/null); do $CTR containers rm $c >/dev/null 2>&1; done
done
for n in favour favour2 kubelet kubelet2 kube-proxy kube-proxy2 kube-scheduler kube-controller-manager kube-apiserver; do
  p=$(ours $PIDS/$n) && kill $p
done
ended kubelet kubelet2 kube-proxy kube-proxy2 kube-scheduler kube-controller-manager kube-apiserver
for n in etcd containerd containerd2; do p=$(ours $PIDS/$n) && kill $p; done
ended etcd containerd containerd2
for f in $PIDS/*; do p=$(ours "$f") && kill -KILL $p; done
# leftover shims of OUR containerds only (their address is below our state directories)
for p in /proc/[0-9]*; do
  tr '\0' ' ' <$p/cmdline 2>/dev/null | grep -q "containerd-shim.*-address /run/k8s-containerd2*/" && kill -KILL ${p#/proc/}
done
sleep 1
awk '{print $2}' /proc/mounts | grep -E "^($RUN|$STORE|/run/k8s-containerd|/run/netns/cni-)" | sort -r | while read -r m; do umount -l "$m"; done
rm -f /run/netns/cni-*
ip netns del ${NETNS}2 2>/dev/null
ip netns del $NETNS 2>/dev/null
ip link del kveth0 2>/dev/null
rm -rf /run/k8s-containerd /run/k8s-containerd2 /var/lib/cni/results/k8s-* /var/lib/cni/results/cni-loopback-*   # CNI result cache of network "k8s" and lo
rm -rf /run/containerd/runc/k8s.io/* 2>/dev/null               # runc state of containers killed above
find /var/log/containers -maxdepth 1 -lname "$RUN/*" -delete 2>/dev/null
# cgroups made by the kubelet
for d in /sys/fs/cgroup/*/; do [ -d $d/kubepods ] && find $d/kubepods -depth -type d -exec rmdir {} \; 2>/dev/null; [ -d $d/k8s.io ] && find $d/k8s.io -depth -type d -exec rmdir {} \; 2>/dev/null; [ -d $d/node2 ] && find $d/node2 -depth -type d -exec rmdir {} \; 2>/dev/null; done
[ -f $RUN/sysctl.saved ] && sysctl -q -p $RUN/sysctl.saved
[ "${KEEP_LOG:-}" ] && cp -r $LOG $K/lastlog 2>/dev/null
rm -rf $RUN
[ "${PURGE:-}" ] && rm -rf $STORE ${STORE}2
echo "torn down"
