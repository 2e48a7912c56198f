#!/bin/bash
# volume.sh NAMESPACE CLAIM [ACCESSMODE]     a bound claim (ReadWriteOncePod) on a folder of this host; prints the folder
# volume.sh --delete NAMESPACE CLAIM         claim, volume and folder gone: how a workspace is lost
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/env.sh"
if [ "${1:-}" = --delete ]; then
  NS=$2; C=$3
  for x in "pvc/$C -n $NS" "pv/$NS-$C"; do                       # finalizers off: gone at once, whoever still mounts it
    kubectl delete $x --ignore-not-found --wait=false >/dev/null
    kubectl patch $x --type merge -p '{"metadata":{"finalizers":null}}' >/dev/null 2>&1 || true
  done
  rm -rf "${CRMFERRY_TESTBED:?}/volumes/$NS/$C"; exit 0
fi
NS=${1:?volume.sh NAMESPACE CLAIM [ACCESSMODE]}; C=${2:?}; MODE=${3:-ReadWriteOncePod}; D=$CRMFERRY_TESTBED/volumes/$NS/$C
mkdir -p "$D"; chown 65532:65532 "$D"; chmod 2770 "$D"          # the user of the image: hostPath knows no fsGroup
kubectl apply -f - >/dev/null <<Y
apiVersion: v1
kind: PersistentVolume
metadata: {name: $NS-$C}
spec:
  capacity: {storage: 10Gi}
  accessModes: [$MODE]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  claimRef: {namespace: $NS, name: $C}
  hostPath: {path: $D, type: Directory}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: $C, namespace: $NS}
spec: {accessModes: [$MODE], storageClassName: "", volumeName: $NS-$C, resources: {requests: {storage: 10Gi}}}
Y
kubectl -n "$NS" wait --for=jsonpath='{.status.phase}'=Bound "pvc/$C" --timeout=30s >/dev/null
echo "$D"
