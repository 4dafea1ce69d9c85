"""What others may rely on, written down from the classes themselves: `python -m console.contracts`.

It writes `schemas/v1/`, `schemas/asyncapi.yaml` and `docs/events.md`.  `--release` freezes what is
promised as `schemas/released.json`, which every later state is held to (docs/consuming.md).
"""
