"""`shipfeed`: one verb for running, one for each thing to look at.

Exit codes: 0 well, 1 not well (an audit that found something, a broker that does not answer),
2 wrong use or configuration.
"""

from __future__ import annotations

import logging
import sys

import typer
from aiokafka.errors import KafkaError

from bus.errors import BadConfig, Misuse, ShipfeedError
from console.commands import (
    accounts,
    api_keys,
    audit,
    cursors,
    dead_letters,
    demo,
    packages,
    remap,
    sources,
    topics,
    up,
    write_backs,
)

app = typer.Typer(
    help="One feed of every shipped package, from commerce systems that can only be polled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # "[kafka]" in a help text is no markup
)
for verb in (demo, up, sources, topics, remap, audit):
    app.command(verb.NAME)(verb.run)
for noun in (accounts, api_keys, cursors, packages, dead_letters, write_backs):
    app.add_typer(noun.app, name=noun.NAME)


def main() -> None:
    """Run; a user's mistake is one line, never a traceback."""
    # What Kafka's client tries again by itself is no news for people; what it gives up is raised.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        app()
    except (BadConfig, Misuse) as error:
        _end(str(error), 2)
    except (ShipfeedError, KafkaError, TimeoutError) as error:
        _end(str(error) or repr(error), 1)


def _end(line: str, code: int) -> None:
    sys.stderr.write(f"shipfeed: {line}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
