"""``fallom-server backup``."""

from pathlib import Path

from pydantic import BaseModel

from server import api_client
from server.flags import ApiKey, AsJson, DataDir, RegistryUrl, Url
from server.output import print_rows, warn


class Backup(BaseModel):
    """Make a backup: a folder under backups/ in the data directory, with all that was acknowledged until now.

    It is made of links to the same files, so copy it to another disk. A server that is started with such a copy as its
    data directory has all the rows, configs and keys of that moment.
    """

    url: Url = None
    api_key: ApiKey = None
    data_dir: DataDir = Path("./data")
    registry_url: RegistryUrl = None
    as_json: AsJson = False

    def cli_cmd(self) -> None:
        """Make it and print its path."""
        if self.url is not None:
            answer = api_client.post(self.url, "/backups", {}, self.api_key)
            path, left_out = answer["path"], answer["left_out"]
        else:
            # Here, since who asks a server should not wait for what opens the files.
            from server.backup import backup_files

            folder, left_out = backup_files(self.data_dir, self.registry_url)
            path = str(folder)
        print_rows(("path",), [[path]], as_json=self.as_json)
        if left_out:
            warn(f"warning: {left_out}")
