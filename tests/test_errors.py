"""Words of errors: each is one line, and says what is valid."""

from pathlib import Path

import numpy as np

from prefrl.errors import (
    at_least,
    choices,
    in_commands_words,
    not_a,
    one_line,
    option,
    resuming,
    unknown,
    with_type,
)


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


def test_an_argument_of_another_type_is_named_with_what_it_is_and_what_was_expected():
    assert not_a("config", {}, "a RunConfig") == "config is a dict; expected a RunConfig"
    assert not_a("config", "Pendulum-v1", "a RunConfig") == (
        "config is a str ('Pendulum-v1'); expected a RunConfig"
    )
    assert (
        not_a("make_model", int, "a function") == "make_model is the class int; expected a function"
    )
    assert not_a("rows", np.zeros((2, 3)), "(N,) numbers") == (
        "rows is an ndarray of shape (2, 3); expected (N,) numbers"
    )


def test_an_error_speaks_python_but_to_whoever_types_commands():
    folder = Path("runs/a")
    assert option("eval_in", "training") == "eval_in='training'"
    assert option("queries.spread_factor") == "queries.spread_factor"
    assert resuming(folder, steps=300) == "prefrl.resume('runs/a', steps=300)"
    with in_commands_words():
        assert option("eval_in", "training") == "--eval-in training"
        assert option("queries.spread_factor") == "--queries.spread-factor"
        assert resuming(folder, steps=300) == "--resume runs/a --steps 300"
    assert option("out") == "out"
