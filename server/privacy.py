"""The processor that the settings ask for, with its key."""

from collector.privacy.keyed_hash import read_key
from collector.processors.privacy import Privacy
from server.errors import CommandError
from server.settings import ServerSettings
from storage.data_directory import DataDirectory

KEY_FILE = "privacy.key"


def privacy_of(settings: ServerSettings, data: DataDirectory) -> Privacy | None:
    """Return what applies the projects' policies; None where none changes anything. Raises CommandError."""
    if all(policy.changes_nothing for policy in settings.privacy.values()):
        return None
    path = settings.privacy_key_file or data.path / KEY_FILE
    try:
        return Privacy(settings.privacy, read_key(path))
    except (OSError, ValueError) as error:
        raise CommandError(f"privacy_key_file: {error}") from error
