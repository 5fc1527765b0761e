"""A Slurm of two nodes, both on this machine, brought up for the tests and taken down after them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from vqa.jobs.engines.slurm import SlurmEngine
from vqa.jobs.settings import SlurmSettings

NODES = ("n1", "n2")
CORES, GPUS = 4, 2
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "setpriv")
DIES_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
READY_SECONDS = 60.0

CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
MessageTimeout=3
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
GresTypes=gpu
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = """
NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} RealMemory=4000 Gres=gpu:{gpus}
"""
DEVICES = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"


class Cluster:
    """Its daemons are children of this process, and die with it.

    Args:
        folder: for everything of it; a short path, for there is a socket in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration = folder / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Bring up everything, and wait until jobs can run."""
        self._configure()
        key, socket_file = self.folder / "munge.key", self.folder / "munge.socket"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        options = [
            f"--{name}-file={self.folder}/munge.{name}" for name in ("key", "log", "pid", "seed")
        ]
        self._launch("munged", "--foreground", "--force", f"--socket={socket_file}", *options)
        self._wait(socket_file.exists)
        self.start_controller()
        for node in NODES:
            self._launch("slurmd", "-D", "-N", node, name=node)
        self._wait(self._is_idle)

    def start_controller(self, *, forget: bool = False) -> None:
        """Bring up what queues jobs; with an empty memory where it shall forget."""
        self._launch("slurmctld", "-D", *(["-c"] if forget else []))
        self._wait(lambda: self.run("scontrol", "ping").returncode == 0)
        if len(self._daemons) > 2:
            self._wait(self._is_up)

    def stop_controller(self) -> None:
        """Take it down; what runs goes on."""
        self._end("slurmctld")

    def stop(self) -> None:
        """Take everything down, and kill what jobs left."""
        for name in reversed(list(self._daemons)):
            self._end(name)
        leftovers = self._leftovers()
        for process in leftovers:
            process.kill()
        _, alive = psutil.wait_procs(leftovers, timeout=10)
        assert not alive
        shutil.rmtree(self.folder)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """One of Slurm's commands, for this cluster."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which Slurm's commands find this cluster."""
        return os.environ | {"SLURM_CONF": str(self.configuration)}

    def _configure(self) -> None:
        host, ports = socket.gethostname(), _free_ports(1 + len(NODES))
        (self.folder / "state").mkdir()
        nodes = (
            NODE.format(name=name, host=host, port=port, cores=CORES, gpus=GPUS)
            for name, port in zip(NODES, ports[1:], strict=True)
        )
        text = CONFIGURATION.format(host=host, port=ports[0], folder=self.folder)
        self.configuration.write_text("".join(nodes) + text)
        (self.folder / "gres.conf").write_text(DEVICES)

    def _launch(self, *command: str, name: str | None = None) -> None:
        with (self.folder / "daemons.log").open("ab") as log:
            self._daemons[name or command[0]] = subprocess.Popen(
                [*DIES_WITH_PARENT, *command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _end(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _is_idle(self) -> bool:
        return self.run("sinfo", "--noheader", "--format=%D %t").stdout.split() == [
            str(len(NODES)),
            "idle",
        ]

    def _is_up(self) -> bool:
        states = self.run("sinfo", "--noheader", "--format=%t").stdout.split()
        return bool(states) and all(state in ("idle", "mix", "alloc", "comp") for state in states)

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            dead = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if dead or time.monotonic() > deadline:
                logs = "\n".join(log.read_text()[-2000:] for log in self.folder.glob("*.log"))
                raise RuntimeError(f"Slurm did not come up ({dead or 'it waits'}):\n{logs}")
            time.sleep(0.05)

    def _leftovers(self) -> list[psutil.Process]:
        """What jobs started, and Slurm's own watchers of them, which show no variables but write to its log."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            if process.environ().get("SLURM_CONF") == str(self.configuration):
                return True
            return any(Path(file.path).parent == self.folder for file in process.open_files())
        except psutil.Error:
            return False


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def why_not() -> str | None:
    """Why no cluster can be brought up here; None where it can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"Slurm is not installed ({', '.join(missing)}): apt-get install slurm-wlm munge"
    return "only root can bring up a Slurm" if os.geteuid() else None


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Cluster]:
    """A real Slurm, which this process's commands talk to."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(cluster.configuration))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
def make_slurm_engine(slurm_cluster: Cluster) -> Callable[[], SlurmEngine]:
    """Makes an engine as a program that was just started would."""
    return lambda: SlurmEngine(SlurmSettings(partition="main"))


@pytest.fixture
def slurm_engine(make_slurm_engine: Callable[[], SlurmEngine]) -> SlurmEngine:
    """An engine on the cluster."""
    return make_slurm_engine()
