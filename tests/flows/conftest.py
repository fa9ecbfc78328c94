"""One temporary Prefect server for all tests of flows."""

import pytest


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory):
    from prefect.testing.utilities import prefect_test_harness

    from tasks.engine.temporary_server import temporary_server

    with prefect_test_harness(server_startup_timeout=90), temporary_server():
        yield
