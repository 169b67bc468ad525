#!/usr/bin/env bash
# A real SLURM of two nodes on the loopback interface, for the tests: its daemons, configuration, keys and logs live in
# one folder and end with it. Several slurmd on one machine are told apart by their ports.
#
#   slurm.sh start FOLDER       write the configuration, start munged, slurmctld and the nodes, wait until they are idle
#   slurm.sh node-kill FOLDER N power failure of a node: its daemon and all that runs on it are killed
#   slurm.sh node-up FOLDER N   the node comes back
#   slurm.sh stop FOLDER        cancel the jobs and end every daemon that was started
#
# After `start`, put FOLDER/bin first on PATH: its sbatch, squeue, ... know the configuration.
set -euo pipefail

verb=${1:?start, stop, node-kill or node-up}
folder=$(realpath -m "${2:?folder}")
nodes=2
export PATH="$PATH:/usr/sbin:/sbin"
export SLURM_CONF="$folder/slurm.conf"

pid_of() { cat "$folder/pids/$1" 2>/dev/null || true; }

# A number that is free again may be another process by now: ours has the folder in its environment or command line.
is_ours() {
  [ -n "$1" ] && [ -r "/proc/$1/environ" ] && tr '\0' '\n' <"/proc/$1/environ" | grep -qxF "SLURM_CONF=$SLURM_CONF"
}

launch() {
  local name=$1
  shift
  setsid "$@" </dev/null >>"$folder/log/$name.out" 2>&1 &
  echo $! >"$folder/pids/$name"
}

wait_until() {
  local tries=$(($1 * 5))
  shift
  until timeout 5 "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.2
  done
}

end() {
  local pid
  pid=$(pid_of "$1")
  is_ours "$pid" || return 0
  kill -TERM "$pid" 2>/dev/null || return 0
  for _ in $(seq 50); do
    [ -d "/proc/$pid" ] || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
}

free_ports() {
  python3 - "$1" <<'PYTHON'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))
PYTHON
}

configure() {
  local me host ports
  me=$(id -un)
  host=$(hostname -s)
  read -ra ports <<<"$(free_ports $((nodes + 1)))"
  (umask 077 && head -c 1024 /dev/urandom >"$folder/munge/munge.key")
  {
    cat <<CONF
ClusterName=kneeline
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
AuthInfo=socket=$folder/munge/munge.socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/state/slurmctld.pid
SlurmdPidFile=$folder/spool-%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=1,batch_sched_delay=1,sched_interval=1
SlurmctldTimeout=20
SlurmdTimeout=20
MessageTimeout=10
KillWait=5
ReturnToService=2
JobRequeue=0
MinJobAge=600
CONF
    for n in $(seq 0 $((nodes - 1))); do
      echo "NodeName=node$n NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[n + 1]} CPUs=2 RealMemory=8000 State=UNKNOWN"
    done
    echo "PartitionName=main Nodes=ALL Default=YES MaxTime=1-00:00:00 DefaultTime=00:10:00 State=UP"
  } >"$SLURM_CONF"
  # Snakemake's jobs lose every SLURM_ variable before they call srun: the wrappers put it back.
  for tool in srun sbatch squeue scancel scontrol sinfo; do
    printf '#!/bin/sh\nSLURM_CONF=%q exec %q "$@"\n' "$SLURM_CONF" "$(command -v "$tool")" >"$folder/bin/$tool"
    chmod 755 "$folder/bin/$tool"
  done
}

start_node() {
  mkdir -p "$folder/spool-node$1"
  launch "node$1" slurmd -D -N "node$1"
}

ready() { [ "$(sinfo -h -N -t idle,mix,alloc -o %N | wc -l)" -ge "$nodes" ]; }

start() {
  for tool in munged slurmctld slurmd sbatch; do
    command -v "$tool" >/dev/null || { echo "slurm.sh: $tool is not installed" >&2; exit 3; }
  done
  mkdir -p "$folder"/{pids,log,munge,state,bin}
  chmod 755 "$folder" "$folder/munge"
  configure
  launch munged munged -F --force --key-file="$folder/munge/munge.key" --socket="$folder/munge/munge.socket" \
    --pid-file="$folder/munge/munged.pid" --log-file="$folder/log/munged.log" --seed-file="$folder/munge/seed"
  wait_until 20 munge --socket="$folder/munge/munge.socket" --no-input
  launch slurmctld slurmctld -D
  for n in $(seq 0 $((nodes - 1))); do start_node "$n"; done
  export -f ready
  export nodes
  wait_until 60 bash -c ready || { tail -5 "$folder"/log/* >&2; exit 1; }
}

# A node is its daemon, the job steps that hold its log open, and everything below them.
node_kill() {
  local pids="" more p fd
  for p in /proc/[0-9]*; do
    for fd in "$p"/fd/*; do
      if [ "$(readlink "$fd" 2>/dev/null)" = "$folder/log/slurmd-node$1.log" ]; then
        pids="$pids ${p#/proc/}"
        break
      fi
    done
  done
  more=$pids
  while [ -n "$more" ]; do
    more=$(for p in $more; do cat "/proc/$p/task/"*/children 2>/dev/null || true; done | tr '\n' ' ' | xargs)
    pids="$pids $more"
  done
  [ -z "${pids// /}" ] || kill -KILL $pids 2>/dev/null || true
}

stop() {
  "$folder/bin/scancel" --user="$(id -un)" 2>/dev/null || true
  wait_until 10 bash -c '[ -z "$(squeue -h -t running,completing)" ]' || true
  for name in slurmctld $(cd "$folder/pids" && ls -d node* 2>/dev/null) munged; do end "$name"; done
}

case $verb in
  start) start ;;
  stop) stop ;;
  node-kill) node_kill "${3:?which node}" ;;
  node-up) start_node "${3:?which node}" ;;
  *) sed -n '2,11p' "$0"; exit 2 ;;
esac
