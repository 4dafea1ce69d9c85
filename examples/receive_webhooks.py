"""Take each event once: WEBHOOK_SECRET=... uvicorn --app-dir examples receive_webhooks:app."""

import os

from fastapi import FastAPI, HTTPException, Request
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

app = FastAPI()
webhook = Webhook(os.environ["WEBHOOK_SECRET"])
seen: set[str] = set()  # yours is where your work is, and in one transaction with it


@app.post("/hooks", status_code=204)
async def receive(request: Request) -> None:
    """2xx: it is yours now.  Anything else, or nothing in time: it comes again, same id."""
    try:
        event = webhook.verify(await request.body(), dict(request.headers))
    except (WebhookVerificationError, ValueError) as error:
        raise HTTPException(400, "not signed with our secret, or too old") from error
    if event["id"] not in seen:
        seen.add(event["id"])
        print(event["id"], event["type"], event["subject"], flush=True)
