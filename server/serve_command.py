"""``fallom-server serve``."""

from server.serve import serve
from server.settings import ServerSettings


class Serve(ServerSettings):
    """Start the server: OTLP over gRPC and HTTP, the Fallom clients' API, results and SQL.

    Each setting is a flag, an environment variable (FALLOM_ and its name in capitals), or a line of the TOML file
    that --config names; the first of these wins.
    """

    def cli_cmd(self) -> None:
        """Run until SIGTERM or SIGINT."""
        serve(self)
