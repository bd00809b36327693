"""The processor that the settings ask for, with its key."""

import logging

from collector.privacy.keyed_hash import read_key
from collector.processors.privacy import Privacy
from server.errors import CommandError
from server.settings import ServerSettings
from storage.data_directory import DataDirectory

KEY_FILE = "privacy.key"

logger = logging.getLogger("fallom")


def privacy_of(settings: ServerSettings, data: DataDirectory, *, may_make_key: bool = True) -> Privacy | None:
    """Return what applies the projects' policies; None where none changes anything.

    Its key is made where there is none, unless ``may_make_key`` is false: where hashes that are stored are to be found
    again, another key finds none. Raises CommandError.
    """
    if all(policy.changes_nothing for policy in settings.privacy.values()):
        return None
    path = settings.privacy_key_file or data.path / KEY_FILE
    is_there = path.exists()
    try:
        key = read_key(path, may_make=may_make_key)
    except FileNotFoundError as error:
        raise CommandError(
            f"privacy_key_file: no file {path}: without the key that they were made with no pseudonym can be found "
            "again; name it by FALLOM_PRIVACY_KEY_FILE or in the file of --config, or put it back"
        ) from error
    except (OSError, ValueError) as error:
        raise CommandError(f"privacy_key_file: {error}") from error
    if not is_there:
        logger.warning(
            "%s was not there and is new: keep a copy, since no backup has it; hashes and pseudonyms that were made "
            "with another one don't meet those made from now on",
            path,
        )
    return Privacy(settings.privacy, key)


def identifier(privacy: Privacy | None, project: str, text: str) -> str:
    """Return what an identifier of the project, such as a customer's id, is stored as."""
    return text if privacy is None else privacy.identifier(project, text)
