"""The servers that a run is told to use answer, which is asked before anything starts."""

import os
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import urlopen

from phrase_models.errors import UserError

ANSWER_SECONDS = 5.0
MLFLOW_URI, PREFECT_URL = "MLFLOW_TRACKING_URI", "PREFECT_API_URL"
HTTP = ("http://", "https://")


class ServiceUnreachable(UserError):  # noqa: N818 - named for what is wrong
    """A server that is named does not answer."""


def check_named_servers(*, tracked: bool, orchestrated: bool) -> None:
    """Ask the servers that the environment names by plain HTTP, ahead of imports that take seconds.

    Args:
        tracked: whether MLflow is to be asked.
        orchestrated: whether Prefect is.

    Raises:
        ServiceUnreachable: if one does not answer.
    """
    mlflow, prefect = os.environ.get(MLFLOW_URI, ""), os.environ.get(PREFECT_URL, "")
    if tracked and mlflow.startswith(HTTP) and not server_answers(mlflow):
        raise no_mlflow(mlflow)
    if orchestrated and prefect.startswith(HTTP) and not server_answers(f"{prefect}/health"):
        raise no_prefect(prefect)


def no_mlflow(uri: str) -> ServiceUnreachable:
    """The error that nobody answers there."""
    return ServiceUnreachable(
        f"No MLflow answers at {MLFLOW_URI}={uri}: start it or correct the address, or "
        "unset it for the store's own; nothing was started."
    )


def no_prefect(url: str) -> ServiceUnreachable:
    """The error that nobody answers there."""
    return ServiceUnreachable(
        f"No Prefect server answers at {PREFECT_URL}={url}: start it or correct the "
        "address (it ends in /api), or unset it for a server of the run's own; nothing "
        "was started."
    )


def check_prefect() -> None:
    """Ask the Prefect server that the settings name, if they name one, whether it is there.

    Raises:
        ServiceUnreachable: if it does not answer within seconds, or is something else.
    """
    import httpx
    from prefect import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    url = PREFECT_API_URL.value()
    if not url:
        return
    patience = {"timeout": httpx.Timeout(ANSWER_SECONDS)}
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        client = get_client(sync_client=True, httpx_settings=patience)
        if client.api_healthcheck() is not None:
            raise no_prefect(url)


def server_answers(url: str) -> bool:
    """Whether an HTTP server answers at an address within seconds, be it that it wants a password.

    That there is nothing (404), or that a gateway finds nobody behind it (5xx), is no answer.
    """
    try:
        with urlopen(url, timeout=ANSWER_SECONDS):
            return True
    except HTTPError as error:
        return error.code < 500 and error.code != 404
    except (OSError, ValueError, HTTPException):
        return False
