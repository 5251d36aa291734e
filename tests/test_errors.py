"""Words of errors: each is one line, and says what is valid."""

from prefrl.errors import at_least, choices, one_line, unknown, with_type


def test_lines_and_blanks_become_one_line():
    assert one_line(" no\n  such   file\n") == "no such file"


def test_an_error_of_other_code_has_its_type_before_its_text_or_the_type_alone():
    assert with_type(ValueError("too\nlong:")) == "ValueError: too long:"
    assert with_type(KeyError()) == "KeyError"


def test_a_number_that_is_too_small_is_named_with_the_least_there_may_be():
    assert at_least("seed", -1, 0) == "seed is -1; expected 0 or more"


def test_an_unknown_name_comes_with_those_there_are_and_the_one_that_was_meant():
    assert unknown("agent", "sacc", ["ppo", "sac"]) == (
        "unknown agent 'sacc'; choose from ppo, sac; did you mean sac?"
    )
    assert choices("td3", ["ppo", "sac"]) == "choose from ppo, sac"
