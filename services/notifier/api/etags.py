"""A subscription's revision as an ETag, and the condition under which it is changed."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Header

from schemas.subscription import Subscription
from services.notifier.api.problems import Problem

_REVISION = re.compile(r'"(\d{1,18})"', re.ASCII)

IfMatch = Annotated[
    str, Header(description='the ETag that was read, such as "3"; "*": whatever it is')
]


def etag(subscription: Subscription) -> str:
    """The revision in quotes."""
    return f'"{subscription.revision}"'


def revision(if_match: str) -> int | None:
    """The revision that may be changed; None: any.  Raises Problem 412 for what is no ETag."""
    if if_match.strip() == "*":
        return None
    if (found := _REVISION.fullmatch(if_match.strip())) is None:
        raise Problem(
            412, "Precondition failed", 'If-Match is no ETag of a subscription, such as "3"'
        )
    return int(found[1])
