"""Work pool, deployments and automations on the server that PREFECT_API_URL names.

`python -m tasks.team_platform.deployment` may be run again and again: what is there is brought up
to date.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from phrase_models.errors import UserError
from tasks.engine.child_process import ROOT
from tasks.team_platform.notification import failure_automation, save_webhook, webhook_address
from tasks.team_platform.settings import POOL


def read_automations(path: Path) -> list[dict[str, Any]]:
    """The automations of a file, as `prefect automation create --from-file` reads them."""
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["automations"]
    return found


def bring_automations_up_to_date(automations: list[dict[str, Any]]) -> None:
    """Create them, or write over those of the same name."""
    from prefect import get_client
    from prefect.events.schemas.automations import AutomationCore

    with get_client(sync_client=True) as client:
        for item in automations:
            wanted = AutomationCore.model_validate(item)
            existing = client.read_automations_by_name(wanted.name)
            if existing:
                client.update_automation(existing[0].id, wanted)
            else:
                client.create_automation(wanted)


def main() -> None:
    """Do all three, and have failures told to a webhook where there is one; Prefect says what."""
    webhook = webhook_address()
    prefect = [sys.executable, "-m", "prefect"]
    pool = ["work-pool", "create", POOL, "--type", "process", "--overwrite"]
    for words in (pool, ["deploy", "--all", "--no-prompt"]):
        subprocess.run([*prefect, *words], cwd=ROOT, check=True)
    automations = read_automations(ROOT / "automations.yaml")
    if webhook is not None:
        automations.append(failure_automation(save_webhook(webhook)))
    bring_automations_up_to_date(automations)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
