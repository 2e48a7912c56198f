# Shared by the scripts beside it; every value can be overridden in the environment.
BED=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${CRMFERRY_TESTBED:=/var/tmp/crmferry-testbed}"                           # state: built programs, data, logs
: "${CRMFERRY_TESTBED_CACHE:=$(dirname "$(dirname "$(dirname "$BED")")")/shared/testbed}"  # big archives of Odoo, where somebody keeps them
: "${CRMFERRY_TESTBED_RELAY:=10.244.0.1}"                                    # where pods reach the host
export CRMFERRY_TESTBED CRMFERRY_TESTBED_CACHE
. "$BED/kube/env.sh"
export KUBECONFIG=$KT_KUBECONFIG
PATH=$CRMFERRY_TESTBED/bin:$PATH:/usr/sbin:/sbin:/usr/local/go/bin
