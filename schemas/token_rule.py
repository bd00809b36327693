"""The words of ``spans.token_rule``: what the reported counts of a call were taken to include."""

INCLUDED = "included"
CACHE_APART = "cache apart"
REASONING_APART = "reasoning apart"
BOTH_APART = "cache and reasoning apart"

# By a number of two bits: the cache's tokens stand apart, those of reasoning do.
TOKEN_RULES = (INCLUDED, CACHE_APART, REASONING_APART, BOTH_APART)

DESCRIPTION = (
    "What the reported counts were taken to include, where tokens of a cache or of reasoning were reported: "
    f"`{INCLUDED}` (input holds the cache's, output the reasoning's), `{CACHE_APART}` (those of the cache were added "
    f"to the input), `{REASONING_APART}` (those of reasoning were added to the output), `{BOTH_APART}`; else NULL."
)


def token_rule(*, cache_apart: bool, reasoning_apart: bool) -> str:
    """Return the rule's word."""
    return TOKEN_RULES[cache_apart | reasoning_apart << 1]
