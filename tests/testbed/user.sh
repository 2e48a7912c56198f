#!/bin/bash
# user.sh NAME [GROUP]: a person with a client certificate and no rights; prints the path of their kubeconfig.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/env.sh"
N=${1:?user.sh NAME [GROUP]}; P=$KT_RUN/pki; D=$KT_RUN/users; mkdir -p "$D"; chmod 700 "$D"; F=$D/$N.kubeconfig
[[ $N =~ ^[A-Za-z0-9@._-]+$ ]] || { echo "testbed: a name has letters, digits, @ . _ -" >&2; exit 1; }
if ! [ -s "$F" ]; then
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$D/$N.key" 2>/dev/null
  openssl req -new -key "$D/$N.key" -subj "${2:+/O=$2}/CN=$N" -out "$D/$N.csr"
  openssl x509 -req -in "$D/$N.csr" -CA "$P/ca.crt" -CAkey "$P/ca.key" -CAcreateserial -days 30 \
    -extfile <(echo extendedKeyUsage=clientAuth) -out "$D/$N.crt" 2>/dev/null
  b64() { base64 -w0 <"$1"; }
  cat >"$F.new" <<Y
apiVersion: v1
kind: Config
clusters: [{name: local, cluster: {server: "https://127.0.0.1:$KT_API_PORT", certificate-authority-data: $(b64 "$P/ca.crt")}}]
users: [{name: "$N", user: {client-certificate-data: $(b64 "$D/$N.crt"), client-key-data: $(b64 "$D/$N.key")}}]
contexts: [{name: local, context: {cluster: local, user: "$N"}}]
current-context: local
Y
  chmod 600 "$F.new"; mv "$F.new" "$F"
fi
echo "$F"
