"""prefect.yaml names flows that exist and parameters that they take."""

from pathlib import Path

import pytest
import yaml

from tasks.settings.engines import ENGINES
from tasks.settings.presets import load_preset

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]

FLOWS = {
    "sweep-latent-size": "sweep",
    "retrain-weekly": "retrain",
    "generate-batch": "generate-batch",
    "evaluate": "evaluate",
}
MODELS_OF_A_REGISTRY = ("generate-batch", "evaluate")


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda item: item["name"])
def test_a_deployment_has_a_flow_that_takes_its_parameters(deployment):
    from prefect.flows import load_flow_from_entrypoint

    assert ":" not in deployment["entrypoint"]  # a file would be loaded as a second module
    flow = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
    assert flow.name == FLOWS.get(deployment["name"], "phrase-ldm")
    parameters = deployment["parameters"]
    checked = flow.validate_parameters(parameters)
    plain = {name: value for name, value in parameters.items() if name != "request"}
    assert plain.items() <= checked.items()
    assert "request" not in parameters or checked["request"].preset == "ablation"
    asked = parameters.get("request", parameters)
    if flow.name in MODELS_OF_A_REGISTRY:
        assert parameters["model"] == "champion"
    else:
        assert load_preset(asked["preset"]).preset == asked["preset"]


def test_what_is_scheduled_promotes_through_the_gate_alone():
    from flows import promotion

    scheduled = [item for item in DEPLOYMENTS if item.get("schedules")]
    assert [item["entrypoint"] for item in scheduled] == ["flows.promotion.retrain"]
    assert "_through_the_gate" in promotion.retrain.fn.__code__.co_names


def test_nothing_of_the_machine_that_deploys_is_in_it():
    text = (ROOT / "prefect.yaml").read_text()
    settings = yaml.safe_load(text)
    assert settings["pull"] == [{"tasks.engine.prefect_runs.enter_home": {}}]
    assert "{{" not in text  # what Prefect would fill in when deploying
    assert all("working_dir" not in item["work_pool"]["job_variables"] for item in DEPLOYMENTS)


def test_forms_offer_what_there_is(tmp_path):
    from prefect.flows import load_flow_from_entrypoint

    from phrase_models.sources.registry import SOURCES
    from tasks.settings.presets import PRESETS
    from tasks.stages.registry import STAGE_NAMES

    flow = load_flow_from_entrypoint(DEPLOYMENTS[0]["entrypoint"], use_placeholder_flow=False)
    fields = flow.parameters.properties
    assert fields["preset"]["enum"] == list(PRESETS)
    assert fields["source"]["anyOf"][0]["enum"] == list(SOURCES)
    assert fields["engine"]["anyOf"][0]["enum"] == list(ENGINES)
    assert fields["refresh"]["anyOf"][0]["items"]["enum"] == ["all", *STAGE_NAMES]
    assert fields["until"]["enum"][-1] == "metrics"
    assert (fields["resumed"]["minimum"], fields["resumed"]["maximum"]) == (0, 2)


def test_a_run_that_died_goes_on_with_its_own_parameters():
    """What the template makes of a run's parameters, and that the third time is refused."""
    import json

    from prefect.server.utilities.user_templates import render_user_template_sync

    automations = yaml.safe_load((ROOT / "automations.yaml").read_text())["automations"]
    (action,) = automations[1]["actions"]
    template = action["parameters"]["value"]["template"]

    def again(parameters):
        run = {"parameters": parameters}
        return json.loads(render_user_template_sync(template, {"flow_run": run}))

    asked = {"preset": "cpu", "overrides": {"seed": "3"}, "source": None}
    assert again(asked) == asked | {"resumed": 1}
    assert again(asked | {"resumed": 2}) == asked | {"resumed": 3}


def test_automations_are_what_prefect_takes():
    from prefect.events.schemas.automations import AutomationCore

    for item in yaml.safe_load((ROOT / "automations.yaml").read_text())["automations"]:
        assert AutomationCore.model_validate(item).trigger.for_each == {"prefect.resource.id"}


def test_no_deployment_holds_a_lease_that_ends_with_its_server():
    assert [item["name"] for item in DEPLOYMENTS if "concurrency_limit" in item] == []


def test_the_sweep_that_is_deployed_can_be_launched(tmp_path):
    from tasks.launch import Request
    from tasks.reports.sweep import sweep_points

    parameters = next(i for i in DEPLOYMENTS if i["name"] == "sweep-latent-size")["parameters"]
    for checkout in ("POP909-Dataset", "hierarchical-structure-analysis"):
        (tmp_path / checkout / "POP909").mkdir(parents=True)
    request = Request(**parameters["request"] | {"data": str(tmp_path)})
    points = sweep_points(request, parameters["over"], orchestrated=False)
    assert [point.launched.config.vae.latent_dim for point in points] == [16, 32, 64, 128]


def test_the_flow_refuses_what_it_does_not_know():
    from prefect.exceptions import ParameterTypeError
    from prefect.flows import load_flow_from_entrypoint

    flow = load_flow_from_entrypoint(DEPLOYMENTS[0]["entrypoint"], use_placeholder_flow=False)
    assert flow.validate_parameters({"latent_dim": 32, "seed": 3})["latent_dim"] == 32
    assert flow.validate_parameters({"until": "vae"})["until"] == "vae"
    for wrong in ({"latent_dim": "many"}, {"until": "everything"}):
        with pytest.raises(ParameterTypeError):
            flow.validate_parameters(wrong)
