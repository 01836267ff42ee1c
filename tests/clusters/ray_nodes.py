"""A Ray cluster of three nodes on this machine: it prints its address, and obeys the lines of its standard input.

The head has no cores; the two others have four cores and two GPUs each, which exist for Ray only. ``add`` and
``remove`` (by SIGKILL) change the number of nodes; each is answered by a line. The end of the input ends the cluster.
"""

from __future__ import annotations

import itertools
import sys

from ray.cluster_utils import Cluster

MEMORY = 80 * 2**20
"""Bytes of each object store, about the least that Ray takes."""


def main() -> None:
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "num_gpus": 0,
            "object_store_memory": MEMORY,
            "include_dashboard": True,  # it lists the actors
            "dashboard_port": int(sys.argv[1]),
            "dashboard_agent_listen_port": 0,  # the default one may belong to another cluster
        },
    )

    numbers = itertools.count(1)

    def add() -> None:
        # Shipped files are in a directory of each node, as on several machines.
        shipped = f"runtime_resources_{next(numbers)}"
        nodes.append(cluster.add_node(num_cpus=4, num_gpus=2, object_store_memory=MEMORY, runtime_env_dir_name=shipped))

    nodes: list[object] = []
    try:
        add()
        add()
        print(cluster.address, flush=True)
        for line in sys.stdin:
            if line.strip() == "add":
                add()
            else:
                cluster.remove_node(nodes.pop(), allow_graceful=False)
            print("done", flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
