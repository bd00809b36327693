"""What a question for results may choose, and the answer to a choice of what there is not: a list of what there is."""

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote

from analytics.api.errors import ApiError
from analytics.api.registry_requests import registry_errors
from analytics.experiments.arms import Experiment, experiment_of, prompt_experiment_of
from analytics.experiments.declarations import settings_of
from analytics.experiments.epochs import weight_epochs
from analytics.experiments.settings import Settings
from storage.registry.registry import Registry
from storage.registry.resources import ConfigVersion

_LISTED_MAX = 50

Kind = Literal["config", "prompt_ab_test"]
_NAMES: dict[Kind, str] = {"config": "config", "prompt_ab_test": "prompt test"}


def chosen(results: dict[str, Any], metrics: str | None) -> dict[str, Any]:
    """Return the results with the metrics of these names, comma-separated; with all where None.

    Which of them are shown changes nothing of what they say: what is corrected for their number is corrected for all.
    """
    if metrics is None:
        return results
    names = dict.fromkeys(entry["name"] for entry in results["metrics"])
    wanted = {name.strip() for name in metrics.split(",")}
    for name in sorted(wanted - names.keys()):
        message = f"{name!r} is no metric of this experiment, which has: {_listed(names)}"
        raise ApiError(400, "invalid_argument", message, "metrics")
    return {**results, "metrics": [entry for entry in results["metrics"] if entry["name"] in wanted]}


def with_metrics(section: dict[str, Any], entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the section of segments with the metrics of these entries."""
    names = {entry["name"] for entry in entries}
    return {
        **section,
        "segments": [
            {**segment, "metrics": [entry for entry in segment["metrics"] if entry["name"] in names]}
            for segment in section["segments"]
        ],
    }


def experiment_asked(
    registry: Registry, project: str, key: str, version: int | None, epoch: int | None
) -> tuple[str, Settings, Experiment]:
    """Return the key of what an experiment looks at, its settings, and the experiment at a version or an epoch."""
    with registry_errors():
        looked_at, settings = settings_of(registry, project, key)
    known = registry.config_versions if settings.looks_at == "config" else registry.prompt_ab_test_versions
    versions = known(project, looked_at)
    if not versions:
        there = ", ".join(config["key"] for config in registry.configs(project)[:20]) or "none"
        raise ApiError(404, "not_found", f"no config {looked_at!r} is defined; there are: {there}", "key")
    return looked_at, settings, experiment_at(settings.looks_at, looked_at, versions, version, epoch)


def experiment_at(
    looks_at: Kind, key: str, versions: Sequence[ConfigVersion], version: int | None, epoch: int | None
) -> Experiment:
    """Return the experiment at a version, at an epoch, or, without either, over all epochs of its arms."""
    make = experiment_of if looks_at == "config" else prompt_experiment_of
    experiment = make(key, versions, version, epoch=epoch)
    if experiment is not None:
        return experiment
    raise _not_there(f"{_NAMES[looks_at]} {key!r}", key, versions, version, epoch)


def _not_there(
    name: str, key: str, versions: Sequence[ConfigVersion], version: int | None, epoch: int | None
) -> ApiError:
    if version is not None and not 1 <= version <= len(versions):
        message = f"{name} has versions 1 to {len(versions)}, not {version}"
        return ApiError(404, "not_found", message, "version")
    epochs = weight_epochs(key, versions)
    if version is not None:
        message = f"version {version} of {name} is not in weight epoch {epoch}: name one of both"
    else:
        message = f"{name} has weight epochs 1 to {len(epochs)}, not {epoch}"
    return ApiError(404, "not_found", message, "epoch")


def links(key: str) -> dict[str, str]:
    """Return where the same experiment's course and sessions are."""
    path = f"/experiments/{quote(key)}"
    return {"timeseries": f"{path}/timeseries", "sessions": f"{path}/sessions"}


def _listed(names: dict[str, None]) -> str:
    shown = ", ".join(list(names)[:_LISTED_MAX])
    return shown if len(names) <= _LISTED_MAX else f"{shown} and {len(names) - _LISTED_MAX} more"
