"""Which names of models mean one model, and which do not, however like they look."""

import pytest

from analytics.experiments.served_models import is_alias_of, is_same_model

SAME = """
gpt-4o                        gpt-4o
gpt-4o                        gpt-4o-2024-08-06
gpt-4o                        GPT-4o
gpt-4o                        openai/gpt-4o
gpt-4o                        azure/gpt-4o-2024-11-20
gpt-4o                        openrouter/openai/gpt-4o
gpt-4o-2024-08-06             gpt-4o
gpt-4o-mini                   gpt-4o-mini-2024-07-18
gpt-4                         gpt-4-0613
gpt-4-0613                    gpt-4-2023-06-13
gpt-3.5-turbo                 gpt-35-turbo
gpt-3.5-turbo                 gpt-35-turbo-0125
gpt-4.1                       gpt-4.1-2025-04-14
gpt-5                         gpt-5-2025-08-07
o1                            o1-2024-12-17
o1-mini                       o1-mini-2024-09-12
claude-3-5-sonnet-latest      claude-3-5-sonnet-20241022
claude-3-5-sonnet-20241022    anthropic.claude-3-5-sonnet-20241022-v2:0
claude-3-5-sonnet-20241022    us.anthropic.claude-3-5-sonnet-20241022-v2:0
claude-3-5-sonnet-20241022    bedrock/eu.anthropic.claude-3-5-sonnet-20241022-v2:0
claude-3-5-sonnet-20241022    claude-3-5-sonnet-v2@20241022
claude-3-5-sonnet-20240620    claude-3-5-sonnet@20240620
claude-3-5-sonnet-20240620    vertex_ai/claude-3-5-sonnet@20240620
claude-3-5-sonnet             anthropic/claude-3.5-sonnet
claude-sonnet-4-0             claude-sonnet-4-20250514
claude-sonnet-4-5             anthropic/claude-sonnet-4.5
claude-sonnet-4-5             global.anthropic.claude-sonnet-4-5-20250929-v1:0
claude-opus-4-1               publishers/anthropic/models/claude-opus-4-1@20250805
claude-sonnet-4-5             arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0
amazon.nova-pro-v1:0          nova-pro
amazon.nova-pro-v1:0          us.amazon.nova-pro-v1:0
gemini-1.5-pro                models/gemini-1.5-pro-002
gemini-1.5-pro                google/gemini-1.5-pro-001
gemini-2.5-flash-preview      gemini-2.5-flash-preview-05-20
gemini-2.0-flash              vertex_ai/gemini-2.0-flash-001
mistral-large-latest          mistral-large-2411
mistral-large-2411            mistral-large-20241118
command-r                     command-r-08-2024
llama3                        llama3:latest
llama-3.1-70b-instruct        meta-llama/llama-3.1-70b-instruct
deepseek/deepseek-r1          deepseek/deepseek-r1:free
ft:gpt-4o-mini:acme::1        ft:gpt-4o-mini:acme::1
in-house                      in-house
"""
OTHER = """
gpt-4o                        gpt-4o-mini
gpt-4o                        gpt-4o-mini-2024-07-18
gpt-4o                        chatgpt-4o-latest
gpt-4o                        gpt-4o-audio-preview
gpt-4o                        gpt-4
gpt-4o                        gpt-4.1
gpt-4o-2024-05-13             gpt-4o-2024-08-06
gpt-4o-2024-05-13             azure/gpt-4o-2024-08-06
gpt-4                         gpt-4-turbo
gpt-4                         gpt-4-32k-0613
gpt-4                         gpt-4-1106-preview
gpt-4-0314                    gpt-4-0613
gpt-4-0314                    gpt-4-2023-06-13
gpt-5                         gpt-5-mini
gpt-5                         gpt-5-chat-latest
gpt-5                         gpt-5.1
gpt-4o-mini                   ft:gpt-4o-mini:acme::1
gpt-4o-mini                   ft:gpt-4o-mini-2024-07-18:acme::1
ft:gpt-4o-mini:acme::1        ft:gpt-4o-mini:acme::2
o1                            o1-mini
o1                            o1-preview
o1                            o1-pro
o1                            o3
o3-mini                       o4-mini
claude-3-5-sonnet             claude-3-7-sonnet
claude-3-5-sonnet             claude-3-5-haiku
claude-3-5-sonnet-20240620    claude-3-5-sonnet-20241022
claude-3-5-sonnet-20240620    us.anthropic.claude-3-5-sonnet-20241022-v2:0
claude-3-opus                 claude-opus-4
claude-sonnet-4               claude-sonnet-4-5
claude-sonnet-4-0             claude-sonnet-4-5-20250929
claude-opus-4                 claude-opus-4-1
anthropic.claude-v2:1         anthropic.claude-v2:0
anthropic.claude-v2:1         anthropic.claude-instant-v1:1
amazon.nova-pro-v1:0          amazon.nova-lite-v1:0
amazon.nova-pro-v1:0          amazon.nova-pro-v2:0
gemini-1.5-pro                gemini-1.5-flash
gemini-1.5-pro-001            gemini-1.5-pro-002
gemini-2.5-flash              gemini-2.5-flash-lite
gemini-2.5-flash              gemini-2.5-flash-preview-05-20
llama3:8b                     llama3:70b
llama-3.1-8b-instruct         llama-3.1-70b-instruct
meta-llama/llama-3-8b         nousresearch/llama-3-8b
mistral-large                 mistral-small-2402
mistral-large-2402            mistral-large-2411
command-r                     command-r-plus
deepseek/deepseek-r1          deepseek/deepseek-r1:thinking
phi-3-mini-4k-instruct        phi-3-mini-128k-instruct
model-a                       model-b
a                             b
"""


def pairs(text: str) -> list[tuple[str, ...]]:
    return [tuple(line.split()) for line in text.strip().splitlines()]


@pytest.mark.parametrize(("assigned", "called"), pairs(SAME))
def test_names_of_one_model_are_alike(assigned: str, called: str) -> None:
    assert is_same_model(assigned, called)
    assert is_same_model(called, assigned)


@pytest.mark.parametrize(("assigned", "called"), pairs(OTHER))
def test_names_of_two_models_are_not_alike(assigned: str, called: str) -> None:
    assert not is_same_model(assigned, called)
    assert not is_same_model(called, assigned)


def test_an_alias_is_told_from_another_dated_name() -> None:
    assert is_alias_of("gpt-4o", "gpt-4o-2024-08-06")
    assert is_alias_of("gpt-4o-2024-08-06", "openai/gpt-4o")
    assert not is_alias_of("gpt-4o-2024-08-06", "gpt-4o-2024-11-20")
    assert not is_alias_of("gpt-4o", "gpt-4o-mini")


@pytest.mark.parametrize("name", ["", " ", "/", "//", ":", "@", "ft:", "arn:", "-latest", "a/" * 5_000, "-0" * 50_000])
def test_any_text_may_be_a_name(name: str) -> None:
    assert is_same_model(name, name)
    assert not is_same_model(name, "gpt-4o")
