#!/bin/bash
# image.sh BINARY [TAG]: packs a built crmferry as localhost/crmferry:TAG (dev) and gives it to the cluster; prints the name.
# Inside: crmferry under both its names, the libraries it needs, CA certificates, and busybox for `push` and `results`.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/env.sh"
BIN=${1:?image.sh BINARY [TAG]}; NAME=localhost/crmferry:${2:-dev}; OUT=$(mktemp --suffix=.tar); trap 'rm -f "$OUT"' EXIT
BB=$(command -v busybox); L=(); for x in sh tar mv rm ls cat mkdir sleep find stat chmod test cp sha256sum touch; do L+=(--link "/bin/$x=busybox"); done
python3 "$BED/kube/mkimage.py" "$NAME" "$OUT" --libs --user 65532:65532 --entrypoint '["/usr/local/bin/crmferry"]' \
  --link /usr/local/bin/kubectl-crmferry=crmferry "${L[@]}" "$BB:/bin/busybox" "$BIN:/usr/local/bin/crmferry"
ctr -a "$KT_SOCK" -n k8s.io images import "$OUT" >/dev/null
echo "$NAME"
