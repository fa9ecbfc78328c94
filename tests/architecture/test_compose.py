"""compose.yaml and Dockerfile, as far as they can be held to the program without Docker."""

import re
from pathlib import Path

import pytest
import yaml

from storage.paths import CACHE_VARIABLE
from tasks.engine.prefect_runs import HOME
from tasks.engine.services import MLFLOW_URI, PREFECT_URL
from tasks.store_address import STORE_VARIABLE
from tasks.team_platform.notification import WEBHOOK_VARIABLE
from tasks.team_platform.settings import POOL

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OWN = {
    CACHE_VARIABLE,
    HOME,
    STORE_VARIABLE,
    MLFLOW_URI,
    PREFECT_URL,
    WEBHOOK_VARIABLE,
    "PGPASSWORD",
}
OF_OTHERS = re.compile(r"(AWS|POSTGRES|MINIO_ROOT|MC_HOST)_\w+|PYTHONUNBUFFERED|DO_NOT_TRACK")


def prefect_variables() -> set[str]:
    from prefect.settings.legacy import _get_settings_fields
    from prefect.settings.models.root import Settings

    return {*_get_settings_fields(Settings)}


def variables_of_image() -> dict[str, str]:
    return dict(re.findall(r"^(?:ENV|   ) ([A-Z_]+)=(\S+)", DOCKERFILE, re.MULTILINE))


def test_every_variable_is_one_that_somebody_reads():
    import mlflow.environment_variables as mlflow_variables

    named = {name for item in SERVICES.values() for name in item.get("environment", {})}
    named |= {*variables_of_image()}
    known = OWN | prefect_variables() | {*vars(mlflow_variables)}
    # Read from the environment by MLflow's telemetry, and no setting of its own list.
    known |= {"MLFLOW_DISABLE_TELEMETRY"}
    assert {name for name in named - known if not OF_OTHERS.fullmatch(name)} == set()
    assert {"PREFECT_SERVER_DATABASE_PASSWORD", "PREFECT_SERVER_UI_API_URL"} <= named


def test_ports_are_open_to_this_computer_alone():
    published = [port for item in SERVICES.values() for port in item.get("ports", [])]
    assert sorted(published) == [
        "127.0.0.1:4200:4200",
        "127.0.0.1:5055:5055",
        "127.0.0.1:9000:9000",
    ]
    assert "network_mode" not in TEXT


def test_secrets_come_from_the_environment_and_have_no_default():
    secret = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|ROOT_USER|MC_HOST")
    found = 0
    for item in SERVICES.values():
        for name, value in item.get("environment", {}).items():
            if secret.search(name):
                assert re.fullmatch(
                    r"(http://)?\$\{\w+:\?[^}]+\}(:\$\{\w+:\?[^}]+\}@s3:9000)?", value
                ), name
                found += 1
    assert found >= 7
    assert not re.search(r"(?i)(password|secret)=[^$\s]", DOCKERFILE)
    example = (ROOT / ".env.example").read_text()
    for name in {*re.findall(r"\$\{(\w+)", TEXT)}:
        assert re.search(rf"^# {name}= *(#.*)?$", example, re.MULTILINE), name
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/.env" in ignored


@pytest.mark.parametrize("name", ["prefect", "worker"])
def test_commands_of_prefect_are_ones_that_it_knows(name):
    import inspect

    from prefect.cli.server import start as start_server
    from prefect.cli.worker import start as start_worker

    command = SERVICES[name]["command"]
    function = start_server if name == "prefect" else start_worker
    text = inspect.getsource(function)
    taken = {*inspect.signature(function).parameters}
    options = [word.removeprefix("--") for word in command if word.startswith("--")]
    assert options
    assert all(option.replace("-", "_") in taken or f'"--{option}"' in text for option in options)
    assert name == "prefect" or command[command.index("--pool") + 1] == POOL
    assert name == "prefect" or f'"{POOL}"' in DOCKERFILE


def test_commands_of_mlflow_are_ones_that_it_knows():
    from mlflow.cli import server

    program, command, *words = SERVICES["mlflow"]["command"]
    assert (program, command) == ("mlflow", "server")
    context = server.make_context("server", [*words])
    assert context.params["allowed_hosts"] == "mlflow:5055,localhost:5055,127.0.0.1:5055"
    assert context.params["port"] == 5055


def test_modules_that_are_run_exist():
    import importlib.util

    modules = [
        item["command"][2]
        for item in SERVICES.values()
        if item.get("command", [])[:2] == ["python", "-m"]
    ]
    assert modules == ["tasks.team_platform.deployment"]
    assert all(importlib.util.find_spec(module) for module in modules)


def test_the_image_holds_what_is_deployed_and_runs_as_nobody_special():
    allowed = (ROOT / ".dockerignore").read_text()
    copied = re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert {"prefect.yaml", "automations.yaml", "constraints.txt", "flows"} <= {*names}
    for name in names:
        assert (ROOT / name).exists()
        assert f"!{name}\n" in allowed
    user = DOCKERFILE.index("\nUSER phraseldm")
    assert "\nRUN" not in DOCKERFILE[user:]
    assert "pip install" in DOCKERFILE[:user]


def test_both_say_what_was_not_tried():
    assert "there was no Docker" in DOCKERFILE.split("FROM")[0]
    assert "there was no Docker" in TEXT.split("name: phraseldm")[0]
