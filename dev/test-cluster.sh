# The place of the cluster of tests and figures, beside the one of `make cluster`. Sourced.
# shellcheck shell=bash

export HERALD_CLUSTER_STATE=${HERALD_CLUSTER_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/herald/test}
export HERALD_CLUSTER_NETNS=${HERALD_CLUSTER_NETNS:-herald-test}
# Where pods reach what runs beside the tests: `node_ip` of dev/cluster/apiserver.sh.
export HERALD_TEST_NODE_ADDRESS=10.244.255.1
