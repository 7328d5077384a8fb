"""The user's environments: kept in TOML with any characters, checked when read, on the command line."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import tomllib
from pathlib import Path

import pytest

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.toml_writer import toml_text
from MgImplantSegLib.cli import main
from MgImplantSegLib.jobs.agent.slurm.commands import run_slurm
from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.environment_file import (
    configuration_folder,
    find_environment,
    known_environments,
    remove_environment,
    save_environment,
)
from MgImplantSegLib.jobs.new_python import PACKAGES

ODD = 'quote " back \\ slash \t tab \x7f del \x01 control # hash [x] = é 漢 🦴 \u2028 line \u0085 nel \r return'


@pytest.fixture(autouse=True)
def configuration(tmp_path, monkeypatch):
    """An empty configuration folder."""
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "new" / "configuration"))


def test_what_is_written_is_what_the_standard_library_reads():
    table = {
        "text": ODD,
        "empty": "",
        "yes": True,
        "whole": -3,
        "real": 1e-9,
        "large": 1e30,
        "third": 1 / 3,
        "list": [ODD, "b"],
        "pairs": [["a", ODD]],
        "none": [],
        "table": {ODD: ODD, "plain-key_1": "x"},
        ODD: "odd key",
        "": "empty key",
    }
    assert tomllib.loads(toml_text({"outer": {"inner": table, ODD: {}}})) == {"outer": {"inner": table, ODD: {}}}


def test_what_toml_cannot_hold_is_an_error():
    with pytest.raises(InputError, match="NoneType"):
        toml_text({"a": {"b": {"c": None}}})
    with pytest.raises(InputError, match="not UTF-8"):
        toml_text({"a": {"b": {"c": "\udcff"}}})


def test_an_environment_comes_back_from_the_file_as_it_was():
    environment = Environment(
        'my é "server" \'; $(x)',
        Kind.SLURM,
        python="/p y/bin/python",
        root="~/jobs",
        host="me@login",
        port=2222,
        ssh_config="~/c",
        identity_file="~/k",
        interactive=True,
        path_map=(("/data é", "/mnt/data"),),
        processes=4,
        variables={"A b": ODD},
        setup=("module load cuda", 'A_TOKEN="$(cat ~/x)"'),
        partition="gpu",
        account="me",
        nodes=2,
        cpus=8,
        gpus=4,
        memory_gb=1.5,
        time_minutes=90,
        queue_options=("--constraint=a100&nvlink",),
        grace_s=60.0,
    )
    path = save_environment(environment)
    assert find_environment(environment.name) == environment
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    save_environment(Environment("other", python="/usr/bin/python3"))
    assert list(known_environments()[0]) == ["this", environment.name, "other"]
    remove_environment(environment.name)
    assert list(known_environments()[0]) == ["this", "other"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[environments.a]\nkind = "ssh"\npython = "p"\n', "a host"),
        ('[environments.a]\nkind = "ssh"\npython = "p"\nhost = "-oProxyCommand=x"\n', "a host's name"),
        ('[environments.a]\nkind = "local"\n', "the path of a Python"),
        ('[environments.-a]\nkind = "local"\npython = "p"\n', "not beginning with -"),
        ('[environments.a]\nkind = "cloud"\n', "one of this, local, ssh, slurm, lsf"),
        ('[environments.a]\nkind = "local"\npython = "p"\npartitoin = "x"\n', "Did you mean 'partition'"),
        ('[environments.a]\nkind = "local"\npython = "p"\ngpus = "2"\n', "a whole number"),
        ('[environments.a]\nkind = "local"\npython = "p"\ngpus = true\n', "a whole number"),
        ('[environments.a]\nkind = "local"\npython = "p"\nsetup = "one"\n', "a list of texts"),
        ('[environments.a]\nkind = "local"\npython = "p"\npath_map = [["a"]]\n', "pairs of folders"),
        ('[environments.a]\nkind = "local"\npython = "p"\nvariables = {API_TOKEN = "x"}\n', "no secret"),
        ('[environments.a]\nkind = "local"\npython = "p"\nsetup = ["export A_TOKEN=x"]\n', "variable A_TOKEN. Set"),
        ('[environments.a]\nkind = "slurm"\npython = "p"\nsbatch_options = ["gpu"]\n', "start with -"),
        ("[environments", "TOML"),
        ("[other]\nx = 1\n", "only tables"),
    ],
)
def test_a_wrong_file_is_answered_with_what_was_expected(text, words):
    configuration_folder().mkdir(parents=True)
    (configuration_folder() / "environments.toml").write_text(text)
    known, faults = known_environments()
    assert list(known) == ["this"]
    assert re.search(words, str(*faults))


def test_a_file_of_an_earlier_version_is_read(capsys):
    configuration_folder().mkdir(parents=True)
    table = '[environments.a]\nkind = "slurm"\npython = "p"\nsbatch_options = ["--constraint=a100"]\n'
    (configuration_folder() / "environments.toml").write_text(table)
    assert find_environment("a").queue_options == ("--constraint=a100",)
    add = ["jobs", "environments", "add", "b", "--kind", "slurm", "--python", "p", "--sbatch-option=--qos=low"]
    assert main(add) == 0
    assert find_environment("b").queue_options == ("--qos=low",)


def test_environments_on_the_command_line(capsys):
    add = [
        "jobs",
        "environments",
        "add",
        "big server",
        "--kind",
        "ssh",
        "--host",
        "gpu1",
        "--python",
        "~/venv/bin/python",
    ]
    assert main([*add, "--path-map", "/a=/b", "--setup", "module load x", "--variable", "N=a=b", "--gpus", "2"]) == 0
    assert find_environment("big server") == Environment(
        "big server",
        Kind.SSH,
        python="~/venv/bin/python",
        host="gpu1",
        path_map=(("/a", "/b"),),
        setup=("module load x",),
        variables={"N": "a=b"},
        gpus=2,
    )
    capsys.readouterr()
    assert main(["jobs", "environments", "list", "--json", "-"]) == 0
    assert list(json.loads(capsys.readouterr().out)["environments"]) == ["this", "big server"]
    assert main(["jobs", "environments", "remove", "big server"]) == 0
    assert main(["jobs", "environments", "test", "big serve"]) == 2
    assert "Expected one of the environments this" in capsys.readouterr().err


def test_the_environment_of_this_python_passes_or_names_what_to_do(capsys):
    assert main(["jobs", "environments", "test", "this"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✓ python: 3.1")
    assert all(line[0] in "✓✗ " for line in lines)


def test_variables_are_those_from_before_slicer():
    from MgImplantSegLib.jobs.agent.programs import clean_variables

    inside = {
        "PATH": "/slicer/bin",
        "PYTHONHOME": "/s",
        "LD_LIBRARY_PATH": "/s/lib",
        "APPLAUNCHER_LEVEL": "1",
        "APPLAUNCHER_0_PATH": "/usr/bin",
        "APPLAUNCHER_0_HOME": "/home/me",
    }
    assert clean_variables(inside) == {"PATH": "/usr/bin", "HOME": "/home/me"}
    assert clean_variables({"PATH": "/usr/bin"}) == {"PATH": "/usr/bin"}


def test_slurms_programs_do_not_meet_slicers_libraries(tmp_path, monkeypatch):
    (tmp_path / "squeue").write_text('#!/bin/sh\necho "$LD_LIBRARY_PATH"\n')
    (tmp_path / "squeue").chmod(0o755)
    inside = {"LD_LIBRARY_PATH": "/s/lib", "APPLAUNCHER_LEVEL": "1", "APPLAUNCHER_0_PATH": f"{tmp_path}:/usr/bin"}
    for name, value in inside.items():
        monkeypatch.setenv(name, value)
    assert run_slurm(["squeue"]) == "\n"


def pretend_driver(folder, monkeypatch, cuda: str, capabilities: str) -> None:
    """A program `nvidia-smi` that answers as the one of a driver; without a CUDA version it fails."""
    script = f"""#!/bin/sh
[ -n '{cuda}' ] || exit 9
case "$*" in
  *compute_cap*) printf '{capabilities}' ;;
  *) echo '| NVIDIA-SMI 5.0  Driver Version: 5.0  CUDA Version: {cuda} |' ;;
esac
"""
    (folder / "nvidia-smi").write_text(script)
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("cuda", "capabilities", "tag"),
    [
        ("13.0", "8.6\\n", "cu130"),
        ("13.0", "9.0\\n7.0\\n", "cu126"),  # a V100 among them: builds for 13 know nothing before Turing
        ("12.8", "12.0\\n", "cu128"),
        ("12.2", "8.0\\n", "cu128"),
        ("12.2", "6.1\\n", "cu126"),
        ("12.6", "", "cu128"),
        ("11.4", "8.0\\n", "cu118"),
        ("10.2", "7.5\\n", "cpu"),
        ("", "", "cpu"),
    ],
)
def test_the_plan_for_a_new_python_fits_driver_and_gpu_and_says_the_size(
    cuda, capabilities, tag, tmp_path, monkeypatch, capsys
):
    pretend_driver(tmp_path, monkeypatch, cuda, capabilities)
    save_environment(Environment("new", python=sys.executable, root=str(tmp_path / "root")))
    assert main(["jobs", "environments", "create", "new", str(tmp_path / "made")]) == 0
    text = capsys.readouterr().out
    assert f"/whl/{tag}." in text
    assert "GB to download" in text
    assert not (tmp_path / "made").exists()


def test_a_cluster_is_asked_for_the_driver_of_a_computing_node(make_environment, tmp_path, monkeypatch, capsys):
    environment = make_environment("slurm", root=str(tmp_path / "root"), nodes=2, gpus=1)
    save_environment(environment)
    create = ["jobs", "environments", "create", environment.name, str(tmp_path / "made")]
    assert main(create) == 0
    assert "cu128: no computing node answered" in capsys.readouterr().out
    pretend_driver(tmp_path, monkeypatch, "12.4", "7.0\\n")
    assert main(create) == 0
    assert "cu126: its NVIDIA driver takes CUDA up to 12.4, its oldest GPU" in capsys.readouterr().out


def test_a_new_python_gets_what_the_engine_needs():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert sorted(PACKAGES) == sorted(entry for entry in project["dependencies"] if not entry.startswith("torch"))


def test_a_password_for_a_package_index_does_not_become_part_of_a_job(tmp_path, capsys):
    save_environment(Environment("new", python=sys.executable, root=str(tmp_path / "root")))
    create = ["jobs", "environments", "create", "new", str(tmp_path / "made"), "--yes"]
    assert main([*create, "--torch-index", "https://me:hidden@index.example/simple"]) == 2
    said = capsys.readouterr()
    assert "without user and password" in said.err and "hidden" not in said.err + said.out
    assert not (tmp_path / "root").exists()


def test_a_new_python_that_cannot_be_finished_is_removed(tmp_path, capsys, monkeypatch):
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    save_environment(Environment("new", python=sys.executable, root=str(tmp_path / "root")))
    nowhere = ["--torch-index", f"file://{tmp_path}/no index"]
    assert main(["jobs", "environments", "create", "new", str(tmp_path / "made é"), "--yes", *nowhere]) == 2
    said = capsys.readouterr().err
    assert said.index("GB to download") < said.index("Expected installing torch to work"), "the size comes first"
    assert not (tmp_path / "made é").exists()
    assert find_environment("new").python == sys.executable
