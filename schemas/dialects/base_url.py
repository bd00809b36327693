"""The attributes that say where a model was called, the best first: who serves it may follow from that."""

BASE_URL_KEYS = (
    "gen_ai.openai.api_base",
    "gen_ai.request.base_url",
    "llm.base_url",
    "url.full",
    "http.url",
    "server.address",
    "net.peer.name",
)
