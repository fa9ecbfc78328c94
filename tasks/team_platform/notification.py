"""A message to a team when a run has failed: Prefect posts it to a webhook, such as a chat has.

The webhook's address is a secret: whoever has it may write there. It comes from the environment of
whoever deploys and lies, encrypted, in a block of the Prefect server.
"""

import os
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from phrase_models.errors import ConfigurationError

WEBHOOK_VARIABLE = "PHRASELDM_FAILURE_WEBHOOK"
BLOCK = "phraseldm-failures"
AUTOMATION = "phraseldm-tells"


def webhook_address() -> str | None:
    """The address in the environment, or None where there is none.

    Raises:
        ConfigurationError: if it is no address of a web server; it is not repeated.
    """
    address = os.environ.get(WEBHOOK_VARIABLE)
    if not address:
        return None
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"{WEBHOOK_VARIABLE} is no address of a webhook: give one that begins with https://, "
            "or unset the variable for no messages."
        )
    return address


def save_webhook(address: str) -> UUID:
    """Put the address into a block of the server, over an earlier one.

    What is posted is JSON with one field, `text`, as Slack, Mattermost and others take it.

    Returns:
        The id of the block.
    """
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    block = CustomWebhookNotificationBlock(
        name=BLOCK,
        url="{{address}}",
        json_data={"text": "{{subject}}\n{{body}}"},
        secrets={"address": address},
    )
    saved = block.save(BLOCK, overwrite=True)
    assert isinstance(saved, UUID)  # a coroutine where a loop runs, which none does here
    return saved


def failure_automation(block_id: UUID) -> dict[str, Any]:
    """An automation that posts to a block what became of each run that failed or crashed."""
    return {
        "name": AUTOMATION,
        "description": "A run that failed or crashed is told to the team.",
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "expect": ["prefect.flow-run.Failed", "prefect.flow-run.Crashed"],
            "for_each": ["prefect.resource.id"],
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "threshold": 1,
            "within": 0,
        },
        "actions": [
            {
                "type": "send-notification",
                "block_document_id": str(block_id),
                "subject": "{{ flow.name }}: '{{ flow_run.name }}' is {{ flow_run.state.name }}",
                "body": "{{ flow_run.state.message }}\n{{ flow_run|ui_url }}",
            }
        ],
    }
