"""`shipfeed`: one verb for running, one for each thing to look at.

Exit codes: 0 well, 1 not well (an audit that found something, a broker that does not answer),
2 wrong use or configuration.
"""

from __future__ import annotations

import logging
import re
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from bus.errors import BadConfig, Misuse, ShipfeedError

BOOTSTRAPPED = re.compile(r"\('([^']*)', (\d+),")  # as aiokafka lists what it tried

# The first sentence of each command's own help, here because importing them all takes seconds.
COMMANDS = {
    "demo": "Play one story from one seed on a real Kafka, then audit every promise.",
    "up": (
        "Run the broker (unless the configuration names one) and all three services until Ctrl-C."
    ),
    "sources": (
        "Show the systems that can be polled: streams, settings, rate, what rewinds and refreshes."
    ),
    "topics": (
        "Show every topic: partitions, cleanup policy, end offsets (commit markers included)."
    ),
    "remap": (
        "Map the newest raw record of each stored fulfillment again and report what would change."
    ),
    "audit": "Wait until all has arrived, then judge it against the worlds' truth.",
    "accounts": "Check that an account can be read.",
    "api-keys": "List, create and revoke the keys of the notifier's API.",
    "cursors": "Show up to when each stream has read everything; rewind, pause or resume it.",
    "packages": "Show every known package and its state; refresh or forget a fulfillment.",
    "dead-letters": "List, show and redrive the records that were set aside.",
    "write-backs": "List, show, retry, settle and send what is written into other systems.",
}


class Commands(TyperGroup):
    """Import a command's module when that command is asked for."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        names: dict[str, Any] = dict.fromkeys(COMMANDS)  # for suggestions and lists
        self.commands = names

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"console.commands.{cmd_name.replace('-', '_')}")
        if (noun := getattr(module, "app", None)) is None:
            noun = typer.Typer(rich_markup_mode=None, add_completion=False)
            noun.command(module.NAME)(module.run)
        command = typer.main.get_command(noun)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    cls=Commands,
    help="One feed of every shipped package, from commerce systems that can only be polled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # "[kafka]" in a help text is no markup
)


@app.callback()
def _shipfeed() -> None:
    """Nothing is done before a command."""


def main() -> None:
    """Run; a user's mistake is one line, never a traceback."""
    # What Kafka's client tries again by itself is no news for people; what it gives up is raised.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        app()
    except (BadConfig, Misuse) as error:
        _end(str(error), 2)
    except (ShipfeedError, TimeoutError) as error:
        _end(str(error) or repr(error), 1)
    except Exception as error:  # Kafka's own errors end in one line too; ours are shown in full
        if (line := _of_kafka(error)) is None:
            raise
        _end(line, 1)


def _of_kafka(error: Exception) -> str | None:
    """What to say of an error of Kafka's client, None for any other."""
    from aiokafka.errors import KafkaConnectionError, KafkaError  # noqa: PLC0415 - slow to import

    if isinstance(error, KafkaConnectionError):
        tried = ", ".join(f"{host}:{port}" for host, port in BOOTSTRAPPED.findall(str(error)))
        return (
            f"no Kafka answers at {tried}: check that it runs, and the address that --kafka or "
            "[kafka] bootstrap_servers gives"
            if tried
            else f"Kafka does not answer: {error}"
        )
    return (str(error) or repr(error)) if isinstance(error, KafkaError) else None


def _end(line: str, code: int) -> None:
    sys.stderr.write(f"shipfeed: {line}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
