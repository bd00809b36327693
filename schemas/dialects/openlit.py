"""OpenLIT: OTel's keys; before its 1.34 some of its own, and messages as events of whole texts."""

from schemas.dialects.dialect import Dialect, EventAttribute, Source

OPENLIT = Dialect(
    "openlit",
    (
        Source("is_streaming", 20, "gen_ai.is_streaming"),
        Source("time_to_first_token_ns", 40, "gen_ai.server.time_to_first_token", scale=1e9),
        Source("finish_reason", 15, "gen_ai.response.finish_reason"),
    ),
    readings=(
        EventAttribute("input", 220, "gen_ai.content.prompt", "gen_ai.prompt"),
        EventAttribute("output", 220, "gen_ai.content.completion", "gen_ai.completion"),
    ),
)
