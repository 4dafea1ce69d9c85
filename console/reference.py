"""`docs/configuration.md` from the settings themselves: `python -m console.reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bus.settings import KafkaSettings
from services.normalizer.settings import NormalizerSettings
from services.notifier.settings import (
    LogEntry,
    NotifierSettings,
    StreamEntry,
    SubscriptionEntry,
    TopicEntry,
    WebhookEntry,
)
from services.notifier.write_backs.settings import TargetEntry, WriteBackEntry
from services.poller.settings import PollerSettings
from services.poller.source import AccountSettings
from services.poller.sources import sources

HEAD = """\
# Configuration

`shipfeed.toml`, read once at start.
Unknown keys are refused by name; a mistake is one line and exit code 2.
A scalar of a section can also be given in the environment as `SHIPFEED_<SECTION>__<KEY>`,
such as `SHIPFEED_KAFKA__BOOTSTRAP_SERVERS`.
A secret is written as `env:NAME` or `file:PATH`; a literal one is refused.

This page is made from the settings by `python -m console.reference > docs/configuration.md`.
"""
CHANNELS = {
    "webhook": WebhookEntry,
    "topic": TopicEntry,
    "stream": StreamEntry,
    "log": LogEntry,
    "write_back": WriteBackEntry,
}


def page() -> str:
    """The whole page, Markdown."""
    parts = [HEAD]
    for name, model in (
        ("[kafka]", KafkaSettings),
        ("[poller]", PollerSettings),
        ("[normalizer]", NormalizerSettings),
        ("[notifier]", NotifierSettings),
        *((f'[[accounts]] with source = "{name}"', one.settings) for name, one in _sources()),
        ("[[subscriptions]]", SubscriptionEntry),
        *((f'channel = {{ type = "{name}" }}', model) for name, model in CHANNELS.items()),
        ("[[targets]]", TargetEntry),
    ):
        parts.append(f"## `{name}`\n\n" + "\n".join(settings_table(_taken(model))) + "\n")
    return "\n".join(parts)


def _sources() -> list[tuple[str, Any]]:
    return sorted(sources().items())


def _taken(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields that do something."""
    without = model.without if issubclass(model, AccountSettings) else {}
    return {name: field for name, field in model.model_fields.items() if name not in without}


def settings_table(fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    """Each key, its default and its meaning."""
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    for name, field in fields.items():
        yield f"| `{name}` | {_default(field)} | {_meaning(field)} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined or isinstance(value, SecretStr):
        return "none"
    shown = value.model_dump() if isinstance(value, BaseModel) else value
    return f"`{str(shown).lower()}`" if isinstance(shown, bool) else f"`{shown!r}`"


def _meaning(field: FieldInfo) -> str:
    bounds = [
        f"{word} {getattr(limit, name)}"
        for limit in field.metadata
        for name, word in (("ge", "at least"), ("gt", "above"), ("le", "at most"))
        if getattr(limit, name, None) is not None
    ]
    return "; ".join([*([field.description] if field.description else []), *bounds])


if __name__ == "__main__":
    sys.stdout.write(page())
