"""What can go wrong between a notebook and the server."""


class ClientError(Exception):
    """The root. The server did not answer what was asked; the text says what was wrong, what was got, what to do.

    ``status`` is the HTTP status, None without an answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class UnreachableError(ClientError):
    """There was no answer, or one that says to try again: it may help."""
