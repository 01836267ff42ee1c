#!/usr/bin/env bash
# A real Slurm on this machine, as root: a controller and several nodes, each with a host name, a /tmp and two pretended
# GPUs of its own. All nodes share DIR, so programs, run directories and logs belong below it.
#
#   slurm.sh start DIR PORT    start it, and print the path of its slurm.conf, for SLURM_CONF; PORT and the next ones are free
#   slurm.sh node DIR NAME     start the daemon of a node again
#   slurm.sh stop DIR          stop everything
#
# Partitions: main and gpu, whose jobs are preempted and queued again, and urgent, whose jobs preempt them. There is no accounting,
# as on many small clusters, so no sacct.
set -euo pipefail

action=$1
dir=$(realpath -m "$2")
nodes=3
conf=$dir/slurm.conf
mounts=/run/lightsweep-slurm-$(echo "$dir" | sha256sum | head -c 12)

write_configuration() {
    local port=$1
    cat > "$conf" <<EOF
ClusterName=lightsweep
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$dir/munge.sock,cred_expire=10
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool-%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
ReturnToService=2
JobRequeue=1
KillWait=5
SlurmdTimeout=10
SchedulerParameters=bf_interval=1,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n[1-$nodes] NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$((port + 1))-$((port + nodes)) CPUs=2 RealMemory=2000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=n[1-$nodes] Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=gpu Nodes=n[1-$nodes] MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=urgent Nodes=n[1-$nodes] MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=OFF
EOF
    printf 'NodeName=n[1-%s] Name=gpu File=%s\n' "$nodes" /dev/null "$nodes" /dev/zero > "$dir/gres.conf"
}

# A node's /tmp is its own, but DIR, which may be below /tmp, is the same on all nodes.
start_node() {
    SLURM_CONF=$conf unshare --mount --uts bash -c '
        set -e
        shared=$3-$2
        mkdir -p "$shared"
        mount --bind "$1" "$shared"
        mount -t tmpfs tmpfs /tmp
        mkdir -p "$1"
        mount --bind "$shared" "$1"
        slurmd -f "$SLURM_CONF" -N "$2"
        hostname "$2"' _ "$dir" "$1" "$mounts"
}

# A process that has ended, but is not collected, counts as ended.
runs() {
    [ -d "/proc/$1" ] && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"
}

case $action in
start)
    mkdir -p "$dir/state"
    chmod 755 "$dir"
    for number in $(seq "$nodes"); do mkdir -p "$dir/spool-n$number"; done
    (umask 077 && head -c 1024 /dev/urandom > "$dir/munge.key")
    write_configuration "$3"
    munged --force --key-file="$dir/munge.key" --socket="$dir/munge.sock" --pid-file="$dir/munged.pid" \
        --log-file="$dir/munged.log" --seed-file="$dir/munged.seed" > /dev/null 2>&1
    slurmctld -f "$conf"
    for number in $(seq "$nodes"); do start_node "n$number"; done
    export SLURM_CONF=$conf
    for _ in $(seq 120); do
        [ "$(sinfo --noheader --partition=main --states=idle --format=%D 2> /dev/null)" = "$nodes" ] && break
        sleep 0.5
    done
    [ "$(sinfo --noheader --partition=main --states=idle --format=%D)" = "$nodes" ] || { sinfo >&2; exit 1; }
    echo "$conf"
    ;;
node)
    start_node "$3"
    ;;
stop)
    pids=()
    for file in "$dir"/slurmd-*.pid "$dir/slurmctld.pid" "$dir/munged.pid"; do
        if pid=$(cat "$file" 2> /dev/null) && [ -n "$pid" ]; then
            pids+=("$pid")
            kill "$pid" 2> /dev/null || true
        fi
    done
    for pid in "${pids[@]}"; do
        for _ in $(seq 100); do
            runs "$pid" || break
            sleep 0.1
        done
    done
    rmdir "$mounts"-* 2> /dev/null || true
    ;;
*)
    echo "unknown action: $action" >&2
    exit 2
    ;;
esac
