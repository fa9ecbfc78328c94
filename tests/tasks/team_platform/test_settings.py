"""Ports, variables and sentences of a platform, and a guard that leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from phrase_models.errors import ConfigurationError
from tasks.engine.child_process import child_environment
from tasks.team_platform.notification import WEBHOOK_VARIABLE, webhook_address
from tasks.team_platform.service import Service, ServiceEnded, running, wait_until_ready, watch
from tasks.team_platform.settings import PlatformSettings
from tasks.team_platform.start import check, servers, words
from tests.object_stores import SECRET
from tests.waiting import wait_for


def settings(tmp_path: Path, **changes) -> PlatformSettings:
    ports = {"prefect_port": 42001, "mlflow_port": 42002, "s3_port": 42003}
    return PlatformSettings(tmp_path / "platform", tmp_path, **ports | changes)


def test_a_port_that_is_taken_is_named_with_the_option_that_changes_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            check(settings(tmp_path, mlflow_port=port))
    assert str(caught.value) == (
        f"Port {port} of 127.0.0.1 is taken by another program, or may not be listened at: name "
        "another with --mlflow-port."
    )
    assert not (tmp_path / "platform").exists()


def test_ports_must_differ(tmp_path):
    with pytest.raises(ConfigurationError, match="a port of its own, unlike --prefect-port 42001"):
        check(settings(tmp_path, s3_port=42001))
    check(settings(tmp_path, s3_port=42001, store=str(tmp_path / "store")))  # no S3 server then


def test_all_servers_listen_to_this_computer_alone(tmp_path):
    for service in servers(settings(tmp_path)):
        host = {"--host", "-H"} & {*service.module}
        assert service.module[service.module.index(host.pop()) + 1] == "127.0.0.1"


def test_variables_of_a_worker_elsewhere_name_servers_and_store_and_no_folder(tmp_path):
    shared = settings(tmp_path).shared_environment()
    assert shared["PREFECT_API_URL"] == "http://127.0.0.1:42001/api"
    assert shared["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:42002"
    assert shared["PHRASE_LDM_STORE"] == "s3://phraseldm/store"
    assert shared["AWS_ENDPOINT_URL"] == "http://127.0.0.1:42003"
    assert not [value for value in shared.values() if str(tmp_path) in value]
    own = settings(tmp_path).own_environment()
    assert own["PHRASE_LDM_HOME"] == str(tmp_path)
    assert own["PREFECT_HOME"] == str(tmp_path / "platform" / "prefect")


def test_keys_of_a_store_of_ones_own_are_written_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    own = settings(tmp_path, store="s3://team/songs")
    assert "AWS" not in own.environment_file()
    assert SECRET not in "\n".join([own.environment_file(), *words(own)])
    assert [service.name for service in servers(own)] == ["Prefect server", "MLflow server"]


def test_a_shell_reads_the_environment_file_as_it_is_meant(tmp_path):
    asked = settings(tmp_path)
    file = tmp_path / "environment"
    file.write_text(asked.environment_file())
    script = f"set -a; . {file}; set +a; env"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert {f"{k}={v}" for k, v in asked.shared_environment().items()} <= {
        *done.stdout.splitlines()
    }


def test_a_service_that_ends_is_named_with_code_and_log(tmp_path):
    (tmp_path / "failing_service.py").write_text("raise SystemExit(7)\n")
    service = Service("MLflow server", "mlflow", ["failing_service"], lambda: False)
    with running(service, tmp_path, {"PYTHONPATH": _path(tmp_path)}) as started:
        for wait in (wait_until_ready, watch):
            with pytest.raises(ServiceEnded) as caught:
                wait([started])
            assert str(caught.value).startswith(
                f"The MLflow server ended with code 7: the end of {tmp_path / 'mlflow.log'} says"
            )


CHILDREN = """
import pathlib, subprocess, sys, time
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(inner.pid))
time.sleep(60)
"""


def _path(folder: Path) -> str:
    return os.pathsep.join([child_environment()["PYTHONPATH"], str(folder)])


def _gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_nothing_of_a_service_is_left(tmp_path):
    (tmp_path / "service_with_child.py").write_text(CHILDREN)
    told = tmp_path / "pid"
    module = ["service_with_child", str(told)]
    service = Service("S3 server", "s3", module, lambda: told.exists() and told.read_text() != "")
    with running(service, tmp_path, {"PYTHONPATH": _path(tmp_path)}) as started:
        wait_until_ready([started])
        inner = int(told.read_text())
        assert not _gone(inner)
    wait_for(lambda: _gone(inner), 20)
    assert started.guard.returncode == 128 + signal.SIGTERM


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_a_platform_that_is_killed_takes_its_services_along(tmp_path):
    (tmp_path / "service_with_child.py").write_text(CHILDREN)
    told = tmp_path / "pid"
    guard = f"import os, subprocess, sys\nsubprocess.Popen([sys.executable, '-m', \
'tasks.team_platform.guard', str(os.getpid()), sys.executable, '-m', 'service_with_child', \
{str(told)!r}], start_new_session=True).wait()"
    platform = subprocess.Popen(
        [sys.executable, "-c", guard], env={**os.environ, "PYTHONPATH": _path(tmp_path)}
    )
    wait_for(lambda: told.exists() and told.read_text() != "", 20)
    platform.kill()
    platform.wait()
    wait_for(lambda: _gone(int(told.read_text())), 20)


@pytest.mark.parametrize("address", ["hooks.example/abc", "file:///tmp/secret", "https://"])
def test_a_webhook_that_is_none_is_refused_without_being_repeated(monkeypatch, address):
    monkeypatch.setenv(WEBHOOK_VARIABLE, address)
    with pytest.raises(ConfigurationError) as error:
        webhook_address()
    assert str(error.value) == (
        "PHRASELDM_FAILURE_WEBHOOK is no address of a webhook: give one that begins with "
        "https://, or unset the variable for no messages."
    )


def test_no_webhook_no_messages(monkeypatch):
    monkeypatch.delenv(WEBHOOK_VARIABLE, raising=False)
    assert webhook_address() is None
