"""An OpenSSH server and a one-machine SLURM cluster on 127.0.0.1, as plain processes in a folder of their own."""

from __future__ import annotations

import ctypes
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

SERVER_PATH = "/usr/sbin:/usr/local/sbin:/sbin"
SSHD_PROGRAMS = ("sshd", "ssh", "ssh-keygen", "ps")
SLURM_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "srun", "ps")
DEBIAN_PACKAGES = ("openssh-server", "openssh-client", "slurm-wlm", "munge", "procps")
LOCAL = "127.0.0.1"
ONE_ADDRESS = "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny\n"  # that of the machine's name, not all addresses
FAKE_GPUS = ("/dev/null", "/dev/zero")
SECONDS_TO_START = 300
PORTS = range(10000, 20000)  # systems give clients other ones, and torchrun meets on 20000 and more
given_ports = set()


def find_program(name: str) -> str | None:
    """The path of a program, servers' folders included."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SERVER_PATH}")


def missing_for_sshd() -> list[str]:
    """What an sshd of our own lacks on this machine."""
    return [name for name in SSHD_PROGRAMS if find_program(name) is None] + _not_root()


def missing_for_slurm() -> list[str]:
    """What a SLURM cluster of our own lacks on this machine."""
    return [name for name in SLURM_PROGRAMS if find_program(name) is None] + _not_root() + _no_network()


def _not_root() -> list[str]:
    is_root = sys.platform == "linux" and os.geteuid() == 0
    return [] if is_root else ["the right to start servers (root on Linux)"]


def _no_network() -> list[str]:
    """SLURM asks for addresses of kinds that the machine has, and the loopback interface does not count."""
    try:
        socket.getaddrinfo("127.0.0.1", None, socket.AF_INET, flags=socket.AI_ADDRCONFIG)
    except OSError:
        return ["a network interface other than the loopback one"]
    return []


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now and that this has not given before."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            port = random.SystemRandom().choice(PORTS)
            probe.bind(("127.0.0.1", port))
            if port not in given_ports:
                given_ports.add(port)
                return port


def wait_until(is_ready: Callable[[], bool], what: str, seconds: float = SECONDS_TO_START) -> None:
    """Return when `is_ready()` is true; raise TimeoutError with `what` after `seconds`."""
    end, pause_s = time.monotonic() + seconds, 0.05
    while not is_ready():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(pause_s)
        pause_s = min(1.3 * pause_s, 0.4)  # a look at a cluster takes processor time


def end_with_parent() -> None:
    """Have Linux send SIGTERM to this process when the one that started it ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0)


def own_address() -> str:
    """The address that the machine's own name leads to; empty where it leads to none."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return ""


class Daemon:
    """One server process in the foreground, its output in a file; ended by its own process id."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None) -> None:
        self._command, self._log, self._env = command, log, {**os.environ, **(env or {})}
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start the process."""
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the process and wait for it."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(120)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        return self._process.pid


class SshServer:
    """An sshd with throw-away keys and an empty home folder, and the client's configuration file for it.

    Parameters
    ----------
    folder : Path
        For keys, configuration and log.
    """

    ALIAS = "gpu-server"

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.client_config = folder / "client_config"
        self.known_hosts = folder / "known_hosts"
        self.home = folder / "home"
        folder.mkdir(mode=0o700)
        self.home.mkdir()
        for name in ("host_key", "user_key"):
            self._make_key(folder / name)
        (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
        self.trust((folder / "host_key.pub").read_text())
        self._write_configurations()
        command = [find_program("sshd"), "-D", "-e", "-f", str(folder / "sshd_config")]
        self._daemon = Daemon(command, folder / "sshd.log")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._daemon.start()
        wait_until(self._answers, "sshd")

    def stop(self) -> None:
        """End the server; its sessions go on."""
        self._daemon.stop()

    def drop_connections(self) -> int:
        """Kill the server's side of every open connection; returns how many there were."""
        sessions = self._sessions()
        for session in sessions:
            os.kill(session, signal.SIGKILL)
        return len(sessions)

    def cut_off(self) -> None:
        """End the server and all connections at one blow; what was started through them goes on."""
        os.kill(self._daemon.pid, signal.SIGSTOP)  # nobody comes in meanwhile
        sessions = self._sessions()
        self._daemon.stop(signal.SIGKILL)
        for session in sessions:
            with suppress(ProcessLookupError):
                os.kill(session, signal.SIGKILL)

    def _sessions(self) -> list[int]:
        ours = ["ps", "-o", "pid=", "--ppid", str(self._daemon.pid)]
        return [int(pid) for pid in subprocess.run(ours, capture_output=True, text=True).stdout.split()]

    def trust(self, public_key: str) -> None:
        """Make `public_key` the one that the client expects of this server."""
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {' '.join(public_key.split()[:2])}\n")

    @staticmethod
    def _make_key(path: Path) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _write_configurations(self) -> None:
        folder = self.folder
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile {folder}/sshd.pid\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nPermitRootLogin yes\n"
            f"UsePAM {'yes' if is_locked() else 'no'}\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\nAcceptEnv SLURM_CONF\n"
            f'SetEnv "HOME={self.home}"\n'
        )
        self.client_config.write_text(
            f"Host {self.ALIAS}\n  HostName 127.0.0.1\n  Port {self.port}\n  User root\n  IdentitiesOnly yes\n"
            f"  IdentityFile {folder}/user_key\n  UserKnownHostsFile {folder}/known_hosts\n"
            "  GlobalKnownHostsFile /dev/null\n  ServerAliveInterval 2\n  SendEnv SLURM_CONF\n"
        )


def is_locked() -> bool:
    """Whether this user's password is locked, which sshd takes for the whole account unless PAM decides."""
    import pwd  # not on Windows, where this file is read too

    lines = Path("/etc/shadow").read_text("utf-8").splitlines()
    return any(line.startswith(f"{pwd.getpwuid(os.geteuid()).pw_name}:!") for line in lines)


class SlurmCluster:
    """munged, slurmctld and three slurmd (nodes n1, n2, n3) with key, socket and state of their own.

    Partitions: `gpu` (default; n1 and n2), `low` and `high` (n3; jobs of low are requeued when high wants the node).
    Every node has two fake GPUs.

    Parameters
    ----------
    folder : Path
        For keys, configuration, state and logs.
    cores : int
        Of each node.
    largest_array : int
        How many jobs an array may have.
    """

    NODES = ("n1", "n2", "n3")

    def __init__(self, folder: Path, cores: int = 4, largest_array: int = 4) -> None:
        self.folder, self.configuration = folder, folder / "slurm.conf"
        folder.mkdir(mode=0o755)
        (folder / "munge.key").write_bytes(secrets.token_bytes(128))
        (folder / "munge.key").chmod(0o400)
        self._write_configuration(cores, largest_array)
        env = {"SLURM_CONF": str(self.configuration)}
        munge = [
            find_program("munged"),
            "--foreground",
            "--force",
            f"--key-file={folder}/munge.key",
            f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munge.pid",
            f"--log-file={folder}/munge.log",
            f"--seed-file={folder}/munge.seed",
        ]
        self._munge = Daemon(munge, folder / "munged.out")
        self.controller = Daemon([find_program("slurmctld"), "-D"], folder / "slurmctld.out", env)
        self._nodes = {
            name: Daemon([find_program("slurmd"), "-D", "-N", name], folder / f"slurmd-{name}.out", env)
            for name in self.NODES
        }

    def start(self) -> None:
        """Start everything and wait until the nodes are idle."""
        self._munge.start()
        wait_until((self.folder / "munge.socket").exists, "munged")
        for daemon in (self.controller, *self._nodes.values()):
            daemon.start()
        wait_until(self._nodes_are_idle, "idle SLURM nodes")

    def stop(self) -> None:
        """End all jobs and servers."""
        self.run("scancel", "--full", "--signal=KILL", "--user=root")
        self.run("scancel", "--user=root")
        for daemon in (*self._nodes.values(), self.controller, self._munge):
            daemon.stop()

    def run(self, *command: str) -> str:
        """Output of one of SLURM's programs for this cluster; an empty text when it fails."""
        env = {**os.environ, "SLURM_CONF": str(self.configuration)}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300).stdout

    @contextmanager
    def controller_away(self) -> Iterator[None]:
        """Stop the controller, and start it again at the end, however that comes."""
        self.controller.stop()
        try:
            yield
        finally:
            self.controller.start()

    def cut_power(self, node: str) -> None:
        """End a node with all that runs on it at one blow, and have the controller notice it at once."""
        jobs = self.run("squeue", "-h", "-r", "-w", node, "-t", "R,CG", "-o", "%A").split()
        self._nodes[node].stop(signal.SIGKILL)
        for pid in self._processes_of(jobs):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=power")

    def give_power(self, node: str) -> None:
        """Start a node again and wait until it takes jobs."""
        self._nodes[node].start()
        self.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
        wait_until(lambda: self.run("sinfo", "-h", "-n", node, "-N", "-o", "%t").split()[:1] == ["idle"], node)

    def _processes_of(self, jobs: Sequence[str]) -> list[int]:
        """The processes of jobs of this cluster, those that hold the others first."""
        holders, found = [], []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                variables = (folder / "environ").read_bytes().split(b"\0")
                words = (folder / "cmdline").read_bytes()
                if f"SLURM_CONF={self.configuration}".encode() not in variables:
                    continue
                if any(words.startswith(f"slurmstepd: [{job}.".encode()) for job in jobs):
                    holders.append(int(folder.name))
                if any(f"SLURM_JOB_ID={job}".encode() in variables for job in jobs):
                    found.append(int(folder.name))
        return [*holders, *found]

    def _nodes_are_idle(self) -> bool:
        return self.run("sinfo", "-h", "-N", "-p", "gpu,low", "-o", "%t").split() == ["idle"] * len(self.NODES)

    def _write_configuration(self, cores: int, largest_array: int) -> None:
        folder, host = self.folder, socket.gethostname()
        for name in ("state", *self.NODES):
            (folder / name).mkdir()
        self.configuration.write_text(
            f"ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmdUser=root\n"
            f"SlurmctldPort={free_port()}\nStateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/%n\n"
            f"SlurmctldPidFile={folder}/slurmctld.pid\nSlurmdPidFile={folder}/slurmd-%n.pid\n"
            f"AuthType=auth/munge\nAuthInfo=socket={folder}/munge.socket,cred_expire=5\nCredType=cred/munge\n"
            "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none\nMpiDefault=none\n"
            "JobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\n"
            "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nSlurmdParameters=config_overrides\n"
            f"{ONE_ADDRESS if own_address() == LOCAL else ''}ReturnToService=2\nKillWait=30\nMinJobAge=300\n"
            f"MaxArraySize={largest_array}\n"
            "MessageTimeout=3\nSchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1,sched_min_interval=0\n"
            "PreemptType=preempt/partition_prio\nPreemptMode=REQUEUE\nGresTypes=gpu\n"
            + "".join(
                f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={free_port()} CPUs={cores} "
                "RealMemory=4000 Gres=gpu:2 State=UNKNOWN\n"
                for name in self.NODES
            )
            + "PartitionName=gpu Nodes=n1,n2 Default=YES MaxTime=60 DefaultTime=10 OverSubscribe=NO\n"
            "PartitionName=low Nodes=n3 PriorityTier=1 GraceTime=5 MaxTime=60 PreemptMode=REQUEUE\n"
            "PartitionName=high Nodes=n3 PriorityTier=10 MaxTime=60 PreemptMode=OFF\n"
        )
        devices = "".join(f"Name=gpu File={device}\n" for device in FAKE_GPUS)
        (folder / "gres.conf").write_text(devices)
