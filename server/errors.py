"""What ends a command with one line on stderr and a non-zero exit."""


class CommandError(Exception):
    """A command can't do what it was asked; the text says what was wrong and what to do."""
