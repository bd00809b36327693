"""The commands, by name. Of all of them only the one that is named is imported: each needs another part of the rest."""

import gc
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import Any, cast

from pydantic import Field, ValidationError, create_model
from pydantic_settings import BaseSettings, CliApp, CliSubCommand, SettingsConfigDict, SettingsError

from server.errors import CommandError

# As a shell tells of a process that SIGPIPE ended.
_READER_GONE = 141
COMMANDS = {
    "serve": ("server.serve_command:Serve", "Start the server."),
    "apply": ("server.registry_commands:Apply", "Load configs, prompts, prices and experiments from a YAML file."),
    "diff": ("server.registry_commands:Diff", "Tell what applying a YAML file would change."),
    "export": ("server.registry_commands:Export", "Print all of these as a YAML file."),
    "history": ("server.registry_commands:History", "List the versions of one of them."),
    "rollback": ("server.registry_commands:Rollback", "Make an older version the latest again."),
    "draft": ("server.draft_commands:DraftCommands", "Make, show and delete drafts."),
    "publish": ("server.registry_commands:Publish", "Make a draft the latest version."),
    "archive": ("server.registry_commands:Archive", "Take one of them out of all lists."),
    "restore": ("server.registry_commands:Restore", "Put an archived one back."),
    "rollout": ("server.rollout_commands:Rollout", "Give a config's variants weights, at once or step by step."),
    "conclude": ("server.rollout_commands:Conclude", "End a test: the winner gets all sessions."),
    "stop": ("server.rollout_commands:Stop", "Stop a test at once."),
    "end": ("server.end_command:End", "End an experiment with a decision."),
    "results": ("server.results_command:Results", "Show an experiment's figures, verdicts and recommendation."),
    "compare": ("server.compare_command:Compare", "Compare two models, prompts, tags or customers of the traces."),
    "sql": ("server.sql_command:Sql", "Ask a read-only SQL question."),
    "traces": ("server.traces_command:TracesCommands", "Export spans as JSON lines or Parquet."),
    "forget": ("server.forget_command:Forget", "Remove all rows of one customer."),
    "reprice": ("server.reprice_command:Reprice", "Price calls of before by the prices of today."),
    "keys": ("server.keys:Keys", "Make, list and revoke API keys."),
    "datasets": ("server.datasets:DatasetCommands", "Make, list and export datasets of evaluations."),
    "alerts": ("server.alert_commands:AlertCommands", "Send a test message; list what became of alerts."),
    "backup": ("server.backup_command:Backup", "Make a backup of the data directory."),
}
"""By the name of a command where its class is, and what it does."""


class Command(BaseSettings):
    """A trace pipeline and experiment analytics for LLM applications."""

    model_config = SettingsConfigDict(
        cli_prog_name="fallom-server",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_exit_on_error=False,
    )

    def cli_cmd(self) -> None:
        """Run the command that was named."""
        CliApp.run_subcommand(self, cli_exit_on_error=True)


def command(named: str | None) -> type[Command]:
    """Return the command line: the named command with its flags, the others with no more than their names."""
    fields: dict[str, Any] = {}
    for name, (place, description) in COMMANDS.items():
        flags = resolve_name(place) if name == named else create_model(name)
        fields[name] = (cast("Any", CliSubCommand)[flags], Field(description=description))
    return create_model("Command", __base__=Command, __doc__=Command.__doc__, **fields)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Keep the collector of cycles from running while modules are read: what they make stays, and is never looked at.

    That is a seventh of the time to start.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error is one line on stderr and exit code 1, a wrong flag or setting 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _without_garbage_collection():
            known = command(arguments[0] if arguments else None)
        CliApp.run(known, cli_args=arguments)
        # Here, where it can still be told that nobody reads it.
        sys.stdout.flush()
    except ValidationError as error:
        _end(2, *(_flag_problem(problem) for problem in error.errors()))
    except SettingsError as error:
        _end(2, str(error).removeprefix("error parsing CLI: "))
    except BrokenPipeError:
        # Whoever read the output, such as head, has seen enough; what is left of it goes nowhere, also at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_READER_GONE)
    except KeyboardInterrupt:
        _end(130, "interrupted")
    except Exception as error:
        if not isinstance(error, _told()):
            raise
        logging.getLogger("fallom").debug("the command failed", exc_info=True)
        _end(1, str(error))


def run() -> None:
    """Run the command that this process is, and end it; as ``main`` where something was wrong.

    All is closed and on disk by then. Python would take down each module before it ends: for the server that is a
    second in which its successor waits.
    """
    main()
    logging.shutdown()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        # Nobody reads any more: Python has its own way to end then.
        return
    os._exit(0)


def _told() -> tuple[type[Exception], ...]:
    """Return the errors whose text is all that there is to say."""
    from collector.component import CollectorError
    from storage.errors import StorageError
    from storage.registry.errors import RegistryError

    return CommandError, StorageError, RegistryError, CollectorError, OSError


def _end(code: int, *lines: str) -> None:
    from server.output import warn

    for line in lines:
        warn(f"fallom-server: {line}")
    sys.exit(code)


_SECRET_SETTINGS = frozenset({"forward", "smtp_url", "smtp_password"})


def _flag_problem(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0])
    message = str(problem["msg"]).removeprefix("Value error, ")
    # What is set for a target of forwarding may be its key, and a URL may hold a password.
    is_shown = "got" not in message and _SECRET_SETTINGS.isdisjoint(problem["loc"])
    # All settings at once, where one does not go with another: these too.
    is_shown = is_shown and not isinstance(problem.get("input"), dict)
    got = f", got {problem.get('input')!r}" if is_shown else ""
    return f"{place}: {message}{got}"
