#!/bin/bash
# Puts helm (built from its Go module, about a minute) and kubectl into the state's bin folder; prints that folder.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/env.sh"
HELM=v3.22.0; B=$CRMFERRY_TESTBED/bin; mkdir -p "$B"
if ! { [ -x "$B/helm" ] && go version -m "$B/helm" 2>/dev/null | grep -q "helm.sh/helm/v3.$HELM"; }; then
  command -v go >/dev/null || { echo "testbed: Go is needed to build helm" >&2; exit 1; }
  GOBIN=$B CGO_ENABLED=0 go install -ldflags "-s -w" "helm.sh/helm/v3/cmd/helm@$HELM" >&2
fi
printf '#!/bin/sh\nexec %s kubectl "$@"\n' "$KT_BIN" >"$B/kubectl.new"; chmod +x "$B/kubectl.new"; mv "$B/kubectl.new" "$B/kubectl"
echo "$B"
