"""`phraseldm platform`: everything started in order, watched, and ended in the opposite order."""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any
from urllib.request import Request, urlopen

from phrase_models.errors import ConfigurationError
from storage.locks import lock_if_free
from storage.opening import working_folder
from storage.writing import make_folder
from tasks.engine.child_process import ROOT, child_environment
from tasks.engine.services import ANSWER_SECONDS, server_answers
from tasks.interruption import Stopped, end_in_own_time
from tasks.team_platform.notification import webhook_address
from tasks.team_platform.service import Service, ServiceEnded, running, wait_until_ready, watch
from tasks.team_platform.settings import BUCKET, HOST, POOL, PlatformSettings

WORKER = "platform"
TOLD_SECONDS = 6.0
"""For Prefect to be told of the runs that end with the worker."""
ENDED = "Ended: databases, logs and the working store stay in {folder}."


def run_platform(settings: PlatformSettings, say: Callable[[str], None]) -> None:
    """Start everything, say where it is, and watch it until a signal.

    Args:
        settings: ports are free, or it is refused.
        say: prints a line.

    Raises:
        ConfigurationError: if it cannot be started as asked.
        ServiceEnded: if a service ends by itself.
        Stopped: at the end.
    """
    check(settings)
    end_in_own_time()
    make_folder(settings.logs)
    with lock_if_free(settings.folder / "platform.lock") as free:
        if not free:
            raise ConfigurationError(
                f"A platform runs in {settings.folder} already: end it, or name another --folder."
            )
        try:
            with ExitStack() as stack:
                _run(settings, stack, say)
        except Stopped as error:
            raise Stopped(ENDED.format(folder=settings.folder)) from error


def check(settings: PlatformSettings) -> None:
    """See that it can be started, before anything is.

    Raises:
        ConfigurationError: if it cannot.
        UnusablePath: if the store's address is none.
    """
    if not (ROOT / "prefect.yaml").exists():
        raise ConfigurationError(
            f"{ROOT} holds no prefect.yaml, from which is deployed: install a checkout with "
            "`pip install -e .`, or work in one."
        )
    if settings.store is not None:
        working_folder(settings.store)
    elif find_spec("moto") is None:
        raise ConfigurationError(
            "The S3 server in memory is the package moto, which is not here: install "
            "'moto[s3,server]', or name a store of your own with --store."
        )
    webhook_address()
    settings.check_ports()


def servers(settings: PlatformSettings) -> list[Service]:
    """Prefect, MLflow and, where no store is named, S3."""
    database = f"sqlite:///{settings.folder / 'mlflow' / 'mlflow.db'}"
    artifacts = str(settings.folder / "mlflow" / "artifacts")
    prefect = ["prefect", "server", "start", "--host", HOST, "--port", str(settings.prefect_port)]
    mlflow = ["mlflow", "server", "--host", HOST, "--port", str(settings.mlflow_port)]
    mlflow += ["--workers", "1", "--backend-store-uri", database]
    mlflow += ["--artifacts-destination", artifacts]
    found = [
        Service(
            "Prefect server", "prefect", prefect, _answering(f"{settings.prefect_url}/api/health")
        ),
        Service("MLflow server", "mlflow", mlflow, _answering(f"{settings.mlflow_url}/health")),
    ]
    if settings.store is None:
        s3 = ("moto.server", "-H", HOST, "-p", str(settings.s3_port))
        found.append(Service("S3 server", "s3", s3, _answering(f"{settings.s3_url}/moto-api/")))
    return found


def worker(settings: PlatformSettings) -> Service:
    """A worker that takes a run at a time."""
    module = ("prefect", "worker", "start", "--pool", POOL, "--limit", "1", "--name", WORKER)
    begun = datetime.now(UTC)
    return Service("worker", "worker", module, lambda: _worker_is_online(settings, begun))


def _run(settings: PlatformSettings, stack: ExitStack, say: Callable[[str], None]) -> None:
    environment = settings.own_environment()
    make_folder(settings.folder / "mlflow")
    say(f"Starting, with logs in {settings.logs} ...")
    started = [
        stack.enter_context(running(service, settings.logs, environment))
        for service in servers(settings)
    ]
    wait_until_ready(started)
    if settings.store is None:
        urlopen(
            Request(f"{settings.s3_url}/{BUCKET}", method="PUT"), timeout=ANSWER_SECONDS
        ).close()
    _deploy(settings, environment)
    if settings.with_worker:
        stack.callback(_wait_for_lost_runs, settings)  # called after the worker is ended
        started.append(stack.enter_context(running(worker(settings), settings.logs, environment)))
        wait_until_ready(started[-1:])
    (settings.folder / "environment").write_text(settings.environment_file(), encoding="utf-8")
    for line in words(settings):
        say(line)
    watch(started)


def words(settings: PlatformSettings) -> list[str]:
    """Where everything is, and what to do first."""
    shared = settings.shared_environment()
    store = shared["PHRASE_LDM_STORE"]
    if settings.store is None:
        store = f"{store} at {settings.s3_url}, in memory and for trials: it ends with this command"
    lines = [
        "",
        f"Prefect  {settings.prefect_url}",
        f"MLflow   {settings.mlflow_url}",
        f"Store    {store}",
    ]
    if settings.with_worker:
        lines.append(f"Worker   {WORKER}, of work pool {POOL}, in {settings.home}")
    file = shlex.quote(str(settings.folder / "environment"))
    return [
        *lines,
        "",
        "A first run, from another terminal in which this program is installed:",
        f"  set -a; . {file}; set +a",
        "  prefect deployment run phrase-ldm/smoke --watch",
        "Another worker, from any checkout, with the same variables:",
        f"  PHRASE_LDM_HOME=FOLDER prefect worker start --pool {POOL} --limit 1",
        "",
        "Ctrl-C ends all of it.",
    ]


def _answering(url: str) -> Callable[[], bool]:
    return lambda: server_answers(url)


def _deploy(settings: PlatformSettings, environment: dict[str, str]) -> None:
    log = settings.logs / "deployment.log"
    with log.open("ab") as file:
        done = subprocess.run(
            [sys.executable, "-m", "tasks.team_platform.deployment"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=child_environment(**environment),
            check=False,
        )
    if done.returncode != 0:
        raise ServiceEnded(
            f"The deployments were refused: the end of {log} says why; everything was ended again."
        )


def _worker_is_online(settings: PlatformSettings, since: datetime) -> bool:
    found = _ask(settings, f"/work_pools/{POOL}/workers/filter", {})
    return any(
        item["name"] == WORKER and datetime.fromisoformat(item["last_heartbeat_time"]) > since
        for item in found
    )


def _wait_for_lost_runs(settings: PlatformSettings) -> None:
    """Until no run is shown as running, or some seconds: workers elsewhere may have theirs."""
    deadline = time.monotonic() + TOLD_SECONDS
    states = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "CANCELLING"]}}}}
    while time.monotonic() < deadline and _ask(settings, "/flow_runs/filter", states):
        time.sleep(0.5)


def _ask(settings: PlatformSettings, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """A list of the Prefect server's; an empty one if it does not answer."""
    headers = {"Content-Type": "application/json"}
    request = Request(f"{settings.prefect_url}/api{path}", json.dumps(body).encode(), headers)
    try:
        with urlopen(request, timeout=ANSWER_SECONDS) as answer:
            found: list[dict[str, Any]] = json.load(answer)
    except OSError:
        return []
    return found
