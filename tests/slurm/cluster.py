"""A real SLURM on this machine: controller, two CPU nodes and one with two pretended GPUs."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue")
NODES = ("c1", "c2", "g1")
PATIENCE_S = 240
UNFINISHED = "PENDING,RUNNING,SUSPENDED,COMPLETING"
MUNGED = Path("/run/munge/munged.pid")
SYSTEM = Path("/etc/slurm")  # jobs look there alone: the executor strips SLURM's variables
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmctldTimeout=30
SlurmdTimeout=10
MinJobAge=3600
KillWait=10
BatchStartTimeout=10
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
NodeName=DEFAULT CPUs=4 CoresPerSocket=4 RealMemory=30000
NodeName=c1 NodeHostname={host} NodeAddr=127.0.0.1 Port=17001
NodeName=c2 NodeHostname={host} NodeAddr=127.0.0.1 Port=17002
NodeName=g1 NodeHostname={host} NodeAddr=127.0.0.1 Port=17003 Gres=gpu:2
PartitionName=DEFAULT MaxTime=24:00:00 DefaultTime=00:10:00 DefMemPerCPU=200
PartitionName=cpu Nodes=c1,c2 Default=YES
PartitionName=gpu Nodes=g1 PriorityTier=1
PartitionName=urgent Nodes=g1 PriorityTier=10 PreemptMode=OFF
"""


def missing() -> str | None:
    """Why the cluster cannot be had here, None if it can."""
    if os.geteuid():
        return "SLURM's daemons need root"
    if (SYSTEM / "slurm.conf").exists():
        return f"{SYSTEM}/slurm.conf belongs to another cluster"
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    return (
        f"not installed: {', '.join(lacking)} (apt-get install slurm-wlm munge)"
        if lacking
        else None
    )


class Cluster:
    """The daemons, started in a folder of their own and stopped by `stop`."""

    def __init__(self, folder: Path):
        self.folder, self.own_munged = folder, False
        for name in ("state", "spool", "devices"):
            (folder / name).mkdir(parents=True)
        gpus = [folder / "devices" / f"gpu{number}" for number in range(2)]
        for gpu in gpus:
            subprocess.run(["mknod", gpu, "c", "1", "3"], check=True)  # /dev/null under their names
        lines = [f"NodeName=g1 Name=gpu File={gpu}" for gpu in gpus]
        (folder / "gres.conf").write_text("\n".join(["AutoDetect=off", *lines]) + "\n")
        host = socket.gethostname().split(".")[0]
        (folder / "slurm.conf").write_text(CONFIG.format(host=host, folder=folder))
        SYSTEM.mkdir(exist_ok=True)
        for name in ("slurm.conf", "gres.conf"):
            (SYSTEM / name).unlink(missing_ok=True)
            (SYSTEM / name).symlink_to(folder / name)

    def run(self, *command: str) -> str:
        """Standard output of a command of SLURM."""
        process = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: {process.stderr}")
        return process.stdout

    def start(self) -> None:
        """Start all daemons and wait for the nodes."""
        if subprocess.run(["munge", "-n"], capture_output=True).returncode:
            subprocess.run(
                ["install", "-d", "-o", "munge", "-g", "munge", "/run/munge"], check=True
            )
            identity = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"]
            subprocess.run([*identity, "/usr/sbin/munged", f"--pid-file={MUNGED}"], check=True)
            self.own_munged = True
        self.run("slurmctld")
        for node in NODES:
            self.run("slurmd", "-N", node)
        wait_for(lambda: self.run("sinfo", "-h", "-N", "-o", "%N %t").count("idle") >= len(NODES))

    def jobs(self, columns: str, states: str = UNFINISHED) -> list[list[str]]:
        """Fields of each job in these states, see squeue's --format and --states."""
        lines = self.run("squeue", "-h", "-t", states, "-o", columns).splitlines()
        return [line.split() for line in lines]

    def crash(self, node: str) -> None:
        """End a node's daemon and all that runs on it, as a power cut does."""
        listed = subprocess.run(["pgrep", "-f", "slurmstepd"], capture_output=True, text=True)
        for step in listed.stdout.split():
            kill_tree(int(step))
        end(self.folder / f"{node}.pid")

    def stop(self) -> None:
        """End all jobs and daemons."""
        subprocess.run(["scancel", "-u", "root"], capture_output=True, timeout=30)
        time.sleep(1)
        for name in (*NODES, "slurmctld"):
            end(self.folder / f"{name}.pid")
        if self.own_munged:
            end(MUNGED)
        for name in ("slurm.conf", "gres.conf"):
            (SYSTEM / name).unlink()


def end(pid_file: Path) -> None:
    """Kill the process that a file names, if there is one."""
    with contextlib.suppress(FileNotFoundError):
        kill_tree(int(pid_file.read_text()))


def kill_tree(process: int) -> None:
    """SIGKILL to a process and its descendants, parents first: none reports how a child ended."""
    listed = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 9)
    for child in listed.stdout.split():
        kill_tree(int(child))


def wait_for(condition, patience_s: float = PATIENCE_S) -> None:
    """Return when a condition holds; AssertionError if it does not in time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)
