"""Channel `stream`: the subscriber reads for itself over HTTP, and keeps the cursor.

What it reads is told by `serving.py`, on whichever copy it asks.
"""

from __future__ import annotations

from services.notifier.channel import Way

WAY: Way = "served"
SETTINGS = frozenset[str]()
