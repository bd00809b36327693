"""Why the model stopped, in the words of who says it."""

from collections.abc import Iterator

from collector.fallom.raw.body import Object, first_text, member, objects, text_member

_NAMES = ("finishReason", "finish_reason", "stop_reason", "stopReason", "done_reason")


def finish_reason(response: object, timings: Object) -> str | None:
    """Return the reason; without a response, that of the last step in the timings."""
    return first_text(_candidates(response, timings))


def _candidates(response: object, timings: Object) -> Iterator[object]:
    yield _reason(response)
    for name in ("choices", "candidates"):
        for choice in objects(member(response, name))[:1]:
            yield _reason(choice)
    for step in objects(member(response, "steps"))[-1:]:
        yield _reason(step)
    # OpenAI's Responses: of those that ended early there is a reason, of others a status alone.
    yield text_member(member(response, "incomplete_details"), "reason")
    yield text_member(response, "status")
    for step in objects(timings.get("steps"))[-1:]:
        yield _reason(step)


def _reason(value: object) -> str | None:
    found = member(value, *_NAMES)
    # The AI SDK's providers from version 6 on tell their own word and the common one.
    return found if isinstance(found, str) else text_member(found, "unified", "raw")
