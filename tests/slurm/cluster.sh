#!/usr/bin/env bash
# A Slurm of its own in directory $1: a controller on port $2 and two nodes with two GPUs each, which
# are none, on ports $3 and $4. No service, no munge, no cgroup. Whoever starts it ends it.
set -euo pipefail
dir=$1 host=$(hostname -s)
mkdir -p "$dir"/{state,spool,log,run}
cat > "$dir/slurm.conf" <<CONF
ClusterName=bench
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$2
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1,sched_min_interval=0
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
MessageTimeout=5
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$3 CPUs=4 RealMemory=1000 Gres=gpu:2 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$4 CPUs=4 RealMemory=1000 Gres=gpu:2 State=UNKNOWN
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
CONF
for node in n1 n2; do
  echo "NodeName=$node Name=gpu File=/dev/zero"
  echo "NodeName=$node Name=gpu File=/dev/full"
done > "$dir/gres.conf"
export SLURM_CONF=$dir/slurm.conf
slurmctld
slurmd -N n1
slurmd -N n2
for _ in $(seq 100); do
  if sinfo --noheader --format='%T %D' | grep -q 'idle 2'; then exit 0; fi
  sleep 0.1
done
tail -n 20 "$dir"/log/*.log >&2
exit 1
