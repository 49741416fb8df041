#!/usr/bin/env bash
# A Slurm of its own in directory $1: a controller on port $2 and two nodes with two GPUs each, which
# are none, on ports $3 and $4; with $5 and $6, accounts of them by a slurmdbd and a database on these
# ports. No service, no munge, no cgroup. Whoever starts it ends it.
set -euo pipefail
dir=$1 host=$(hostname -s)
mkdir -p "$dir"/{state,spool,log,run}
export SLURM_CONF=$dir/slurm.conf
accounts="AccountingStorageType=accounting_storage/none" forget=300
if [ $# -gt 4 ]; then
  # The controller forgets a job at once: what is told of it then comes from the accounts.
  forget=2 accounts="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$5"
fi
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
$accounts
MinJobAge=$forget
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
if [ $# -gt 4 ]; then
  data=$dir/database
  mkdir "$data"
  mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$data" --auth-root-authentication-method=normal \
    --skip-test-db > "$dir/log/database-install.log" 2>&1
  SLURM_CONF=$SLURM_CONF mariadbd --no-defaults --user="$(id -un)" --datadir="$data" --socket="$data/s.sock" --port="$6" \
    --bind-address=127.0.0.1 > "$dir/log/database.log" 2>&1 &
  for _ in $(seq 200); do
    if mariadb --no-defaults --socket="$data/s.sock" -u root -e "
      create user slurm@localhost identified by 'slurm'; grant all on *.* to slurm@localhost;
      create user slurm@127.0.0.1 identified by 'slurm'; grant all on *.* to slurm@127.0.0.1" 2> /dev/null; then break; fi
    sleep 0.1
  done
  cat > "$dir/slurmdbd.conf" <<CONF
AuthType=auth/none
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$5
SlurmUser=$(id -un)
LogFile=$dir/log/slurmdbd.log
PidFile=$dir/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$6
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
CONF
  chmod 600 "$dir/slurmdbd.conf"
  slurmdbd
  for _ in $(seq 200); do
    if sacctmgr -i add cluster bench > "$dir/log/sacctmgr.log" 2>&1; then break; fi
    sleep 0.1
  done
fi
slurmctld
slurmd -N n1
slurmd -N n2
for _ in $(seq 100); do
  if sinfo --noheader --format='%T %D' | grep -q 'idle 2'; then exit 0; fi
  sleep 0.1
done
tail -n 20 "$dir"/log/*.log >&2
exit 1
