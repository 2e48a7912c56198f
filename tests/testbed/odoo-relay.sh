#!/bin/bash
# odoo-relay.sh [stop]: lets pods reach the host's Odoo; prints its address for them.
# HTTP is Odoo's port on loopback, PORT the one pods use (both 8069).
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/env.sh"
HTTP=${HTTP:-8069}; PORT=${PORT:-8069}; IP=$CRMFERRY_TESTBED_RELAY; D=$CRMFERRY_TESTBED/relay; mkdir -p "$D"
ours() { [ -n "$1" ] && tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -q "TCP-LISTEN:.*bind=$IP"; }
if [ "${1:-}" = stop ]; then
  for f in "$D"/*.pid; do [ -e "$f" ] || continue; p=$(cat "$f"); ! ours "$p" || kill "$p"; rm -f "$f"; done; exit 0
fi
if ! ours "$(cat "$D/$PORT.pid" 2>/dev/null || true)"; then
  setsid socat "TCP-LISTEN:$PORT,bind=$IP,reuseaddr,fork" "TCP:127.0.0.1:$HTTP" </dev/null >"$D/$PORT.log" 2>&1 & echo $! >"$D/$PORT.pid"
  for _ in $(seq 50); do curl -s -o /dev/null "http://$IP:$PORT/web/health" && break; sleep .1; done
fi
curl -fs -o /dev/null --max-time 30 "http://$IP:$PORT/web/health" || { echo "testbed: no Odoo behind $IP:$PORT: $(cat "$D/$PORT.log")" >&2; exit 1; }
echo "http://$IP:$PORT"
