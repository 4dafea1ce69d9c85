"""Print a stream from where it was left: python examples/follow_stream.py URL CURSOR_FILE."""

import json
import os
import sys
import time
from pathlib import Path

import httpx2

url, place, fields = sys.argv[1], Path(sys.argv[2]), dict[str, str]()
new = place.with_suffix(".new")
while True:  # a stream ends when its copy stops, or when we are too slow
    try:
        headers = {"last-event-id": place.read_text() if place.exists() else ""}
        headers["authorization"] = f"Bearer {os.environ.get('API_KEY', 'none')}"
        with httpx2.stream("GET", url, headers=headers, timeout=60) as answer:
            if answer.status_code == 410:  # away for longer than events are kept
                place.write_text(json.loads(answer.read())["oldest"])
            answer.raise_for_status()
            for line in answer.iter_lines():
                name, _, fields[name] = line.partition(": ")
                if not line:
                    if event := json.loads(fields.pop("data", "null")):
                        print(event["id"], event["type"], event["subject"], flush=True)
                    new.write_text(fields["id"])  # after the work: a crash repeats one event
                    new.replace(place)
    except httpx2.HTTPError as error:
        print(error, file=sys.stderr)
    time.sleep(2)
