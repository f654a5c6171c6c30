import os

import pytest

from streamwatch.config.substitution import MAX_REFERENCES, MAX_SECRET, Substitution


@pytest.fixture
def substitution(tmp_path):
    return Substitution(environ={"NAME": "lobby", "YAML": "[a, b]: {c}", "EMPTY": "", "ODD": "\udcff"}, folder=tmp_path)


def test_a_variable_is_put_in_wherever_it_stands(substitution):
    value = substitution.expand({"a": ["x-${NAME}-${NAME}", {"b": "${EMPTY}"}], "c": None})
    assert value == {"a": ["x-lobby-lobby", {"b": ""}], "c": None}
    assert substitution.findings == []


def test_what_is_put_in_is_never_read_as_yaml_or_substituted_again(substitution):
    assert substitution.expand({"a": "${YAML}"}) == {"a": "[a, b]: {c}"}
    chain = Substitution(environ={"A": "${B}", "B": "no"}, folder=substitution._folder)
    assert chain.expand("${A}") == "${B}"


def test_keys_are_left_alone(substitution):
    assert substitution.expand({"${NAME}": "x"}) == {"${NAME}": "x"}


@pytest.mark.parametrize(
    ("text", "expected"), [("$${NAME}", "${NAME}"), ("$5", "$5"), ("a$", "a$"), ("$$", "$$"), ("$NAME", "$NAME")]
)
def test_dollars_can_be_written(substitution, text, expected):
    assert substitution.expand(text) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b"s\n\n", "s\n"),
        (b" s ", " s "),
        (b"", ""),
    ],
)
def test_a_secret_file_loses_one_newline_and_nothing_else(substitution, tmp_path, content, expected):
    (tmp_path / "secret").write_bytes(content)
    assert substitution.expand("${file:secret}") == expected
    assert substitution.expand(f"${{file:{tmp_path}/secret}}") == expected


def test_the_files_read_are_known_for_a_reload(substitution, tmp_path):
    substitution.expand(["${file:a}", "${file:b}"])
    assert list(substitution.files) == [tmp_path / "a", tmp_path / "b"]


def test_what_cannot_be_put_in_is_found_and_left_as_written(substitution, tmp_path):
    (tmp_path / "large").write_bytes(b"x" * (MAX_SECRET + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    cases = {
        "${NOPE}": "NOPE is not set",
        "${ODD}": "not UTF-8",
        "${}": "names nothing",
        "${NAME": "names nothing",
        "${file:}": "names nothing",
        "${file:missing}": "does not exist",
        "${file:large}": "larger than 64 KiB",
        "${file:binary}": "not UTF-8",
        "${file:folder}": "not a regular file",
        "${file:pipe}": "not a regular file",
    }
    for text, wrong in cases.items():
        assert substitution.expand({"k": [text]}) == {"k": [text]}
        assert wrong in substitution.findings[-1].wrong
        assert substitution.findings[-1].path == ("k", 0)
    assert len(substitution.findings) == len(cases)


def test_substitution_cannot_grow_without_end(tmp_path):
    (tmp_path / "big").write_text("x" * MAX_SECRET)
    substitution = Substitution(environ={}, folder=tmp_path)
    substitution.expand("${file:big}${file:big}")
    assert "longer than" in substitution.findings[-1].wrong
    substitution.expand(["${file:big}"] * (MAX_REFERENCES + 5))
    assert "references" in substitution.findings[-1].wrong
