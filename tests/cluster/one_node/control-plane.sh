#!/bin/bash
# Network namespace, certificates, etcd, kube-apiserver, controller-manager, scheduler: all that the API side needs. 9 s.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
T=$(now)
mkdir -p $RUN $PKI $KC $PIDS $LOG $CONF
# --- network namespace with a veth pair to the root namespace -----------------
if ! ip netns list | grep -qw $NETNS; then
  ip netns add $NETNS
  ip link add kveth0 type veth peer name kveth1 netns $NETNS
  ip addr add $HOST_IP/30 dev kveth0; ip link set kveth0 up
  $NSX ip link set lo up
  $NSX ip addr add $NODE_IP/30 dev kveth1; $NSX ip link set kveth1 up
  $NSX ip route add default via $HOST_IP      # kube-proxy/kubelet want a default route; root ns does not forward
  ip route add $SVC_CIDR via $NODE_IP dev kveth0   # lets programs of the root namespace reach Services
  ip route add $PODS_CIDR via $NODE_IP dev kveth0   # ... and pods
  $NSX sysctl -qw net.ipv4.ip_forward=1
fi
# --- certificates ---------------------------------------------------------------
cd $PKI
if [ ! -f ca.crt ]; then
  key ca; openssl req -x509 -new -key ca.key -days 365 -subj /CN=kubernetes-ca -out ca.crt \
      -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature
  cert apiserver /CN=kube-apiserver "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:10.96.0.1,IP:$API_IP"
  cert apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
  key front-ca; openssl req -x509 -new -key front-ca.key -days 365 -subj /CN=front-proxy-ca -out front-ca.crt -addext basicConstraints=critical,CA:TRUE
  key front; openssl req -new -key front.key -subj /CN=front-proxy-client -out front.csr
  openssl x509 -req -in front.csr -CA front-ca.crt -CAkey front-ca.key -CAcreateserial -days 365 -out front.crt 2>/dev/null
  cert admin /O=system:masters/CN=admin
  cert controller-manager /CN=system:kube-controller-manager
  cert scheduler /CN=system:kube-scheduler
  cert proxy /CN=system:kube-proxy
  cert kubelet /O=system:nodes/CN=system:node:$NODE "DNS:$NODE,IP:$NODE_IP,IP:127.0.0.1"
  openssl genrsa -out sa.key 2048 2>/dev/null; openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
fi
for u in admin controller-manager scheduler proxy kubelet; do config $u; done
say "certificates and kubeconfigs: $(since $T)s"
# --- etcd, API server, controller-manager, scheduler ----------------------------
start etcd $BIN/etcd --unsafe-no-fsync --data-dir $RUN/etcd --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
   --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380
# Aggregator routing: webhooks are called at their endpoints, because without a node nothing serves Service addresses.
start kube-apiserver $BIN/kube-apiserver --etcd-servers=http://127.0.0.1:2379 \
   --bind-address=0.0.0.0 --secure-port=6443 --advertise-address=$NODE_IP \
   --service-cluster-ip-range=$SVC_CIDR --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
   --enable-aggregator-routing=true \
   --allow-privileged=true --client-ca-file=$PKI/ca.crt \
   --tls-cert-file=$PKI/apiserver.crt --tls-private-key-file=$PKI/apiserver.key \
   --kubelet-client-certificate=$PKI/apiserver-kubelet-client.crt --kubelet-client-key=$PKI/apiserver-kubelet-client.key \
   --kubelet-certificate-authority=$PKI/ca.crt --kubelet-preferred-address-types=InternalIP \
   --requestheader-client-ca-file=$PKI/front-ca.crt --requestheader-allowed-names=front-proxy-client \
   --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User \
   --proxy-client-cert-file=$PKI/front.crt --proxy-client-key-file=$PKI/front.key \
   --service-account-issuer=https://kubernetes.default.svc.cluster.local \
   --service-account-key-file=$PKI/sa.pub --service-account-signing-key-file=$PKI/sa.key
waitfor 300 kubectl get --raw /readyz   # both exit at once if the bootstrap RBAC roles are not there yet
say "API server ready: $(since $T)s"
# The grace period is for nodes that tests make up: nobody sends heartbeats for them. Claims are bound within a second, not 15.
start kube-controller-manager $BIN/kube-controller-manager --kubeconfig=$KC/controller-manager.conf \
   --authentication-kubeconfig=$KC/controller-manager.conf --authorization-kubeconfig=$KC/controller-manager.conf \
   --bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials=true \
   --node-monitor-grace-period=24h --pvclaimbinder-sync-period=1s \
   --service-account-private-key-file=$PKI/sa.key --root-ca-file=$PKI/ca.crt \
   --cluster-signing-cert-file=$PKI/ca.crt --cluster-signing-key-file=$PKI/ca.key \
   --service-cluster-ip-range=$SVC_CIDR --cluster-cidr=$PODS_CIDR --allocate-node-cidrs=false
start kube-scheduler $BIN/kube-scheduler --kubeconfig=$KC/scheduler.conf --authentication-kubeconfig=$KC/scheduler.conf \
   --authorization-kubeconfig=$KC/scheduler.conf --bind-address=127.0.0.1 --leader-elect=false
waitfor 300 kubectl -n default get serviceaccount default
say "default service account (controller-manager works): $(since $T)s"
rss
