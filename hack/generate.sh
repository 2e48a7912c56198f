#!/bin/bash
# Makes what is derived from crds/ and the chart: charts/crmferry/templates/crds/ and deploy/install.yaml.
#   hack/generate.sh           writes them
#   hack/generate.sh --check   fails where a checked-in file differs
# Needs helm in the PATH. (crds/ itself is written by `crmferry crds`.)
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
OUT=.; if [ "${1:-}" = --check ]; then OUT=$(mktemp -d); trap 'rm -rf "$OUT"' EXIT; fi
T=charts/crmferry/templates/crds; mkdir -p "$OUT/$T" "$OUT/deploy"
for f in crds/*.yaml; do
  { echo '{{- if .Values.crds.enabled }}'
    sed -e 's/{{/{{ "{{" }}/g' -e 's/^metadata:$/metadata:\n  annotations:\n    helm.sh\/resource-policy: keep/' "$f"
    echo '{{- end }}'; } >"$OUT/$T/$(basename "$f")"
done
{ echo '# Rendered from charts/crmferry by hack/generate.sh. DO NOT EDIT.'
  echo '# kubectl apply --server-side -f deploy/install.yaml'
  printf 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: crmferry-system\n  labels:\n    pod-security.kubernetes.io/enforce: restricted\n'
  helm template crmferry charts/crmferry --kube-version 1.33.0 --namespace crmferry-system | grep -v '^# Source: '
} >"$OUT/deploy/install.yaml"
[ "$OUT" = . ] || { diff -ru "$T" "$OUT/$T" && diff -u deploy/install.yaml "$OUT/deploy/install.yaml"; } ||
  { echo "generated files differ: run hack/generate.sh" >&2; exit 1; }
