#!/bin/bash
# Starts the real parts: Kubernetes, Odoo, helm and kubectl. Needs root on Debian 12; installs what is missing.
# Idempotent: a second call waits for the first and then takes a second. Cold, Go builds Kubernetes (4-9 minutes).
#   eval "$(tests/testbed/up.sh)"     exports KUBECONFIG, PATH, ODOO_URL, ODOO_DB, ODOO_LOGIN, ODOO_PASSWORD, ODOO_API_KEY
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/env.sh"
[ "$(id -u)" = 0 ] || { echo "testbed: needs root (it starts containerd, a kubelet and PostgreSQL)" >&2; exit 1; }
mkdir -p "$CRMFERRY_TESTBED"/{bin,log}
exec 8>"$CRMFERRY_TESTBED/up.lock"; flock 8           # the parts close it, so it ends with this script
LOG=$CRMFERRY_TESTBED/log
need=(); for p in git:git curl:curl tar:tar flock:util-linux xz:xz-utils zstd:zstd python3:python3; do command -v "${p%%:*}" >/dev/null || need+=("${p##*:}"); done
[ ${#need[@]} = 0 ] || { apt-get update -qq; apt-get install -y -qq --no-install-recommends ca-certificates "${need[@]}" >/dev/null; }

{ "$BED/odoo/up.sh" >"$CRMFERRY_TESTBED/odoo.env" 2>"$LOG/odoo-up.log"; } 8>&- & odoo=$!
{ "$BED/kube/up.sh" && "$BED/tools.sh"; } >"$LOG/kube-up.log" 2>&1 8>&- & kube=$!
failed=0
wait $odoo || { failed=1; echo "testbed: odoo did not come up:" >&2; tail -15 "$LOG/odoo-up.log" >&2; }
wait $kube || { failed=1; echo "testbed: kubernetes did not come up:" >&2; tail -15 "$LOG/kube-up.log" >&2; }
[ $failed = 0 ] || exit 1
echo "export KUBECONFIG=$KT_KUBECONFIG"
echo "export PATH=$CRMFERRY_TESTBED/bin:\$PATH"
sed 's/^/export /' "$CRMFERRY_TESTBED/odoo.env"
