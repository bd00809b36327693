"""Managed prompts, and tests of them."""

import pytest
from sdk_server import FakeServer, Said, as_it_should, said

import fallom
from fallom import prompts
from fallom.assignment import bucket, walk
from fallom.context import PromptTag, take_prompt_tag
from fallom.errors import PromptNotFoundError

pytestmark = pytest.mark.usefixtures("sdk")


@pytest.fixture(autouse=True)
def began(sdk: None, fake: FakeServer) -> None:
    fallom.init(api_key="key", base_url=fake.url)


def test_a_prompt_is_filled_in_and_marks_the_next_call() -> None:
    prompt = prompts.get("greeting", variables={"mood": "kind", "name": "Ann"})
    assert (prompt.system, prompt.user, prompt.version) == ("Be kind.", "Hi Ann", 2)
    assert take_prompt_tag() == PromptTag("greeting", 2)
    assert take_prompt_tag() is None


def test_what_is_not_given_stays_and_values_are_not_filled_in_again() -> None:
    assert prompts.get("greeting", {"name": "{{mood}}"}).user == "Hi {{mood}}"
    assert prompts.get("greeting", {"mood": r"\1 \g<0>"}).system == r"Be \1 \g<0>."


def test_the_test_gives_each_session_its_prompt() -> None:
    weights = [50, 50]
    for number in range(20):
        session_id = f"session-{number}"
        prompt = prompts.get_ab("greetings", session_id)
        index = walk(weights, bucket(session_id))
        assert (prompt.variant_index, prompt.key) == (index, ("greeting", "farewell")[index])
        assert take_prompt_tag() == PromptTag(prompt.key, prompt.version, "greetings", index)


def test_what_is_not_known_is_a_value_error_that_says_why() -> None:
    with pytest.raises(PromptNotFoundError, match=r"prompt 'nowhere' is not known, though the server was asked"):
        prompts.get("nowhere")
    with pytest.raises(ValueError, match="version 9 of prompt 'greeting'"):
        prompts.get("greeting", version=9)
    with pytest.raises(ValueError, match="prompt test 'nowhere'"):
        prompts.get_ab("nowhere", "session-1")


def test_prompts_survive_a_restart_and_a_bad_answer(fake: FakeServer) -> None:
    prompts.get_ab("greetings", "session-1")
    fallom.shutdown()
    fake.answer = lambda asked: Said(500)
    fallom.init(api_key="key", base_url=fake.url)
    assert prompts.get("greeting").version == 2
    assert prompts.get_ab("greetings", "session-1").ab_test_key == "greetings"


def test_a_prompt_that_cant_be_used_hides_no_other(fake: FakeServer) -> None:
    good = {"key": "good", "version": 1, "system_prompt": "S", "user_template": None}
    answer = said({"prompts": ["none", {"key": 5}, {"key": "x", "system_prompt": 1, "user_template": ""}, good]})
    fake.answer = lambda asked: answer if asked.path == "/prompts" else as_it_should(asked)
    fallom.shutdown()
    fallom.init(api_key="another", base_url=fake.url)
    assert (prompts.get("good").system, prompts.get("good").user) == ("S", "")
    with pytest.raises(PromptNotFoundError):
        prompts.get("x")
