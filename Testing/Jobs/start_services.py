"""An OpenSSH server and a SLURM cluster for the tests of jobs, and for trying the README's page on them.

    python3 Testing/Jobs/start_services.py install [--yes]   install what they need (Debian, Ubuntu; as root)
    python3 Testing/Jobs/start_services.py run FOLDER        start both in FOLDER and say how to use them; Ctrl-C ends

`install` does something only when it is asked to with --yes, or where CI=true is set; the tests skip what is missing.
Everything runs as plain processes of their own, on 127.0.0.1, with throw-away keys; nothing of the system is changed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from services import DEBIAN_PACKAGES, SlurmCluster, SshServer, missing_for_slurm, missing_for_sshd


def main(words: list[str]) -> int:
    """Do what the first word says."""
    if words[:1] == ["install"]:
        return install("--yes" in words[1:] or os.environ.get("CI") == "true")
    if len(words) == 2 and words[0] == "run":
        return run(Path(words[1]).absolute())
    sys.stderr.write(__doc__)
    return 2


def install(is_asked: bool) -> int:
    """Install the servers if that is asked, allowed and needed; a machine without them is no error."""
    missing = sorted({*missing_for_sshd(), *missing_for_slurm()})
    if not missing:
        return 0
    if not (is_asked and os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get")):
        sys.stderr.write(f"The tests of jobs on servers will be skipped; missing: {', '.join(missing)}.\n")
        return 0
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=120"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*apt, "update", "-qq"], env=env, check=False)
    done = subprocess.run(
        [*apt, "install", "-y", "-qq", "--no-install-recommends", *DEBIAN_PACKAGES],
        env=env,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        sys.stderr.write("The servers could not be installed; the tests of jobs on them will be skipped.\n")
    return 0


def run(folder: Path) -> int:
    """Start both servers, say how they are used, and end them on Ctrl-C."""
    if missing := sorted({*missing_for_sshd(), *missing_for_slurm()}):
        sys.stderr.write(f"Missing: {', '.join(missing)}. Install with: start_services.py install --yes\n")
        return 2
    folder.mkdir(mode=0o755, parents=True)
    server, cluster = SshServer(folder / "ssh"), SlurmCluster(folder / "slurm", largest_array=1001)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.start()
        cluster.start()
        sys.stdout.write(
            f"export SLURM_CONF={cluster.configuration}\n"
            f"SSH host {server.ALIAS}, with: --ssh-config {server.client_config}\n"
        )
        sys.stdout.flush()
        signal.pause()
    except KeyboardInterrupt:
        return 0
    finally:
        cluster.stop()
        server.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
