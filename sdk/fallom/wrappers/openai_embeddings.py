"""OpenAI's embeddings, read. The vectors are no content, and are not sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fallom.wrappers.messages import message, text_part, to_json
from fallom.wrappers.reading import Attributes, Chunks, count, text


class _Embeddings:
    operation = "embeddings"

    def request(self, body: Mapping[str, Any], *, captures: bool) -> Attributes:
        encoding = text(body, "encoding_format")
        attributes: Attributes = {
            "gen_ai.request.encoding_formats": [encoding] if encoding else None,
            "gen_ai.embeddings.dimension.count": count(body, "dimensions"),
        }
        if captures:
            given = body.get("input")
            texts = [given] if isinstance(given, str) else given or ()
            said = [message("user", [text_part(each)]) for each in texts if isinstance(each, str)]
            attributes["gen_ai.input.messages"] = to_json(said)
        return attributes

    def answer(self, answer: Any, *, captures: bool) -> Attributes:  # noqa: ARG002 - vectors are no content
        return {
            "gen_ai.response.model": text(answer, "model"),
            "gen_ai.usage.input_tokens": count(answer, "usage", "prompt_tokens"),
        }

    def chunks(self, *, captures: bool) -> Chunks:
        raise NotImplementedError("embeddings are not streamed")


EMBEDDINGS = _Embeddings()
