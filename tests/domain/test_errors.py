import inspect

from streamwatch.domain import errors
from streamwatch.domain.errors import ConfigError, OutsideError, Problem, StreamError, leaf
from streamwatch.domain.streams import Reason


def test_problems_read_as_file_line_key_wrong_right() -> None:
    problem = Problem("s.yaml:3", "streams.0.url", "no such scheme", "rtmp")
    assert str(problem) == "s.yaml:3: streams.0.url: no such scheme (rtmp)"
    assert str(Problem("s.yaml:3", "", "not YAML")) == "s.yaml:3: not YAML"


def test_a_config_error_says_all_its_problems() -> None:
    error = ConfigError(Problem("a:1", "", "one"), Problem("a:2", "", "two"))
    assert str(error) == "a:1: one\na:2: two"
    assert error.exit_code == 2


def test_every_stream_error_has_a_reason_of_the_closed_list() -> None:
    kinds = [k for _, k in inspect.getmembers(errors, inspect.isclass) if issubclass(k, StreamError)]
    assert len(kinds) > 8
    assert all(isinstance(kind.reason, Reason) for kind in kinds)


def test_the_first_error_of_ours_is_found_in_nested_groups() -> None:
    ours = OutsideError("no port")
    group = BaseExceptionGroup("", [ValueError(), BaseExceptionGroup("", [ours])])
    assert leaf(group) is ours
    assert leaf(BaseExceptionGroup("", [ValueError()])) is None
