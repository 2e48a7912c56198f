#!/bin/bash
# Ends what up.sh and odoo-relay.sh started, and only that; --purge also removes the state.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/env.sh"
"$BED/odoo-relay.sh" stop
"$BED/kube/down.sh" "$@"
"$BED/odoo/down.sh" "$@"
if [ "${1:-}" = --purge ]; then
  [ -e "$CRMFERRY_TESTBED/up.lock" ] || { echo "testbed: $CRMFERRY_TESTBED is not a testbed's state" >&2; exit 1; }
  chmod -R u+w "$CRMFERRY_TESTBED"; rm -rf "$CRMFERRY_TESTBED"
fi
