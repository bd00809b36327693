"""How many tokens a call takes and gives, over those that report them."""

from analytics.experiments.metrics.metric import RatioMetric

INPUT_TOKENS = RatioMetric("input_tokens", "tokens", "neutral", "input_tokens", "tokens_count", "tokens_count")
OUTPUT_TOKENS = RatioMetric("output_tokens", "tokens", "neutral", "output_tokens", "tokens_count", "tokens_count")
TOTAL_TOKENS = RatioMetric("total_tokens", "tokens", "neutral", "total_tokens", "tokens_count", "tokens_count")
