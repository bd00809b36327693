"""What a question for results may choose, and the answer to a choice of what there is not: a list of what there is."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from analytics.api.errors import ApiError
from analytics.api.registry_requests import registry_errors
from analytics.experiments.arms import Experiment
from analytics.experiments.epochs import weight_epochs
from analytics.experiments.subject import Subject, subject_of
from schemas.api.rollout import moment_text
from storage.registry.registry import Registry
from storage.registry.resources import ConfigVersion

_LISTED_MAX = 50
_FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)

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
        message = f"{name!r} is no metric of this experiment, which has: {_listed(list(names))}"
        raise ApiError(400, "invalid_argument", message, "metrics")
    return {**results, "metrics": [entry for entry in results["metrics"] if entry["name"] in wanted]}


def asked(
    registry: Registry,
    project: str,
    key: str,
    *,
    version: int | None = None,
    epoch: int | None = None,
    as_of: datetime | None = None,
) -> tuple[Subject, Experiment]:
    """Return what a key stands for, and the experiment at a version, at an epoch, or over all epochs of its arms."""
    with registry_errors():
        subject = subject_of(registry, project, key, as_of=past(as_of, "as_of"))
        if not subject.versions:
            raise _unknown(registry, subject)
        experiment = subject.experiment(registry, version, epoch=epoch)
    if experiment is None:
        name = f"{_NAMES[subject.settings.looks_at]} {subject.looked_at!r}"
        raise _not_there(name, subject.looked_at, subject.versions, version, epoch)
    return subject, experiment


def past(moment: datetime | None, field: str) -> datetime | None:
    """Return the moment. Raises ApiError for one that is in the future, or before all."""
    now = datetime.now(UTC)
    if moment is None or _FIRST_MOMENT <= moment <= now:
        return moment
    message = f"{field} must be a moment since 1970 and not in the future (it is {moment_text(now)}), got {moment}"
    raise ApiError(400, "invalid_argument", message, field)


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


def _unknown(registry: Registry, subject: Subject) -> ApiError:
    of_project = (registry.experiments, registry.configs, registry.prompt_ab_tests)
    keys = list(dict.fromkeys(found["key"] for read in of_project for found in read(subject.project)))
    there = _listed(keys) or "none"
    looked_at = _NAMES[subject.settings.looks_at]
    wrong = f"no experiment or config {subject.key!r} is defined"
    if subject.settings.version is not None:
        wrong = f"the experiment {subject.key!r} looks at the {looked_at} {subject.looked_at!r}, which is not defined"
    return ApiError(404, "not_found", f"{wrong}; there are: {there}", "key")


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


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_LISTED_MAX])
    return shown if len(names) <= _LISTED_MAX else f"{shown} and {len(names) - _LISTED_MAX} more"
