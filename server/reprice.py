"""Pricing calls of before anew: commits what is in the log, then rewrites the files whose calls cost something else."""

from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

from collector.exporters.lake import LakeExporter
from collector.processors.overrides import ProjectOverrides
from collector.processors.price import READS, price
from server.offline import commit_log, data_of, offline
from server.registry_place import registry_of
from storage.errors import LakeError
from storage.registry.registry import Registry
from storage.upkeep.repricing import Pricing, Repriced, Repricing
from storage.upkeep.rewrite import StoppedError
from storage.upkeep.upkeep import Upkeep

Progress = Callable[[str, float], None]
"""Is told how far it is: in words, and as a share of 1."""


def reprice_in_files(
    path: Path, registry_url: str | None, project: str, since: date, progress: Progress, *, is_dry: bool = False
) -> Repriced:
    """Price calls anew in a data directory that no server uses. Raises CommandError, StorageError, RegistryError."""
    data = data_of(path)
    with offline(data) as (lake, exporter), registry_of(data, registry_url) as registry:
        return reprice(exporter, Upkeep(lake), registry, project, since, progress, is_dry=is_dry)


def reprice(
    exporter: LakeExporter,
    upkeep: Upkeep,
    registry: Registry,
    project: str,
    since: date,
    progress: Progress,
    *,
    is_dry: bool = False,
) -> Repriced:
    """Price a project's calls of a day and later by the prices of now; return what became of those that cost other.

    Raises StorageError, RegistryError; what was done by then stays done, and is left as it is when it is run again.
    """
    registry.refresh()
    progress("committing what is in the log", 0.0)
    pricing = Pricing(project, READS, partial(price, overrides_of=ProjectOverrides(registry)))
    request = Repricing(
        since,
        is_dry=is_dry,
        commit=partial(commit_log, exporter),
        progress=lambda done, files: progress(f"{done} of {files} files priced", done / files),
    )
    try:
        return upkeep.reprice(pricing, request)
    except StoppedError:
        raise LakeError("the server was stopped; run it again: what was done is left as it is") from None
