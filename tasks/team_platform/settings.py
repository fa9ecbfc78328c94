"""Where a platform lies and listens, and the variables that its servers and workers share."""

import shlex
import socket
from dataclasses import dataclass
from pathlib import Path

from phrase_models.errors import ConfigurationError
from storage.paths import CACHE_VARIABLE
from tasks.engine.services import MLFLOW_URI, PREFECT_URL
from tasks.store_address import STORE_VARIABLE

HOST = "127.0.0.1"
POOL = "gpu"
BUCKET = "phraseldm"
TRIAL_STORE = f"s3://{BUCKET}/store"
SHARED_SETTINGS = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # evaluations of language models: 8 processes
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}


@dataclass(frozen=True)
class PlatformSettings:
    """What a person chooses.

    Attributes:
        folder: databases, artifacts of MLflow, the worker's working store, and logs.
        home: in which the worker finds relative stores and data.
        store: address of a store that is there already; None for an S3 server in memory.
        with_worker: whether a worker is started here.
    """

    folder: Path
    home: Path
    prefect_port: int = 4200
    mlflow_port: int = 5055
    s3_port: int = 9000
    store: str | None = None
    with_worker: bool = True

    @property
    def prefect_url(self) -> str:
        """Of the pages; the API is below it."""
        return f"http://{HOST}:{self.prefect_port}"

    @property
    def mlflow_url(self) -> str:
        """Of the pages and of the API."""
        return f"http://{HOST}:{self.mlflow_port}"

    @property
    def s3_url(self) -> str:
        """Of the S3 server in memory."""
        return f"http://{HOST}:{self.s3_port}"

    @property
    def logs(self) -> Path:
        """A file for each service."""
        return self.folder / "logs"

    @property
    def ports(self) -> dict[str, int]:
        """The option that names each port -> the port."""
        found = {"--prefect-port": self.prefect_port, "--mlflow-port": self.mlflow_port}
        return found if self.store else found | {"--s3-port": self.s3_port}

    def shared_environment(self) -> dict[str, str]:
        """What any worker and client of this platform needs to know.

        The keys of the S3 server in memory are no secret, as it takes any; those of a store of
        one's own are not in here.
        """
        found = {
            PREFECT_URL: f"{self.prefect_url}/api",
            MLFLOW_URI: self.mlflow_url,
            STORE_VARIABLE: self.store or TRIAL_STORE,
        }
        if self.store is None:
            found |= {
                "AWS_ENDPOINT_URL": self.s3_url,
                "AWS_ACCESS_KEY_ID": "trial",
                "AWS_SECRET_ACCESS_KEY": "trial",
                "AWS_REGION": "us-east-1",
            }
        return found | SHARED_SETTINGS

    def own_environment(self) -> dict[str, str]:
        """What the processes of this folder are told besides."""
        from tasks.engine.prefect_runs import HOME

        return self.shared_environment() | {
            "PREFECT_HOME": str(self.folder / "prefect"),
            CACHE_VARIABLE: str(self.folder / "cache"),
            HOME: str(self.home),
            "PREFECT_WORKER_QUERY_SECONDS": "5",
            "PYTHONUNBUFFERED": "1",
        }

    def environment_file(self) -> str:
        """The shared variables for a shell to read."""
        lines = [
            f"{name}={shlex.quote(value)}" for name, value in self.shared_environment().items()
        ]
        return "\n".join([f"# set -a; . {self.folder / 'environment'}; set +a", *lines, ""])

    def check_ports(self) -> None:
        """See that each port can be listened at.

        Raises:
            ConfigurationError: if one is taken, forbidden or named twice.
        """
        if len({*self.ports.values()}) < len(self.ports):
            named = ", ".join(f"{option} {port}" for option, port in self.ports.items())
            raise ConfigurationError(f"Each server needs a port of its own, unlike {named}.")
        for option, port in self.ports.items():
            try:
                socket.create_server((HOST, port)).close()
            except OSError as error:
                message = (
                    f"Port {port} of {HOST} is taken by another program, or may not be listened "
                    f"at: name another with {option}."
                )
                raise ConfigurationError(message) from error
