"""prefect.yaml names flows that exist and parameters that they take."""

from pathlib import Path

import pytest
import yaml

from tasks.presets import load_preset

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


def test_the_deployments_are_the_pipeline_an_experiment_and_a_weekly_schedule():
    assert [item["name"] for item in DEPLOYMENTS] == ["pipeline", "experiment", "weekly"]
    scheduled = {item["name"]: item["schedules"] for item in DEPLOYMENTS if "schedules" in item}
    assert list(scheduled) == ["weekly"]
    assert scheduled["weekly"][0]["cron"] == "0 3 * * 1"


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda item: item["name"])
def test_a_deployment_has_a_flow_that_takes_its_parameters(deployment):
    from prefect.flows import load_flow_from_entrypoint

    assert ":" not in deployment["entrypoint"]  # a file would be loaded as a second module
    flow = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
    assert flow.name == "phrase-ldm"
    parameters = deployment["parameters"]
    assert parameters.items() <= flow.validate_parameters(parameters).items()
    assert load_preset(parameters["preset"]).preset == parameters["preset"]


def test_the_flow_refuses_what_it_does_not_know():
    from prefect.exceptions import ParameterTypeError
    from prefect.flows import load_flow_from_entrypoint

    flow = load_flow_from_entrypoint(DEPLOYMENTS[0]["entrypoint"], use_placeholder_flow=False)
    assert flow.validate_parameters({"latent_dim": 32, "seed": 3})["latent_dim"] == 32
    with pytest.raises(ParameterTypeError):
        flow.validate_parameters({"latent_dim": "many"})
