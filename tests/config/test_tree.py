import time

import pytest
import yaml

from streamwatch.config import tree

PARSERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])]


@pytest.fixture(params=PARSERS, ids=lambda parser: parser.__name__)
def read(request):
    return lambda text: tree.read(text, parser=request.param)


def only(document):
    assert document.value is None or document.findings
    (finding,) = document.findings
    return finding


def test_scalars_stay_the_text_that_was_written(read):
    text = "a: no\nb: on\nc: 010\nd: 12:30:00\ne: 1_000\nf: 2026-11-21\ng: 1e3\nh: true\ni: .inf\nj: 0x10\nk: 'null'\n"
    values = ["no", "on", "010", "12:30:00", "1_000", "2026-11-21", "1e3", "true", ".inf", "0x10", "null"]
    assert list(read(text).value.values()) == values


@pytest.mark.parametrize("nothing", ["", "~", "null", "Null", "NULL"])
def test_only_an_unquoted_nothing_is_nothing(read, nothing):
    assert read(f"a: {nothing}\nb: '{nothing}'\n").value == {"a": None, "b": nothing}


def test_every_key_and_entry_has_its_line(read):
    document = read("# head\na:\n  - b: 1\n    c: {d: 2,\n        e: 3}\n  - x\n")
    assert document.value == {"a": [{"b": "1", "c": {"d": "2", "e": "3"}}, "x"]}
    assert document.lines == {
        ("a",): 2,
        ("a", 0): 3,
        ("a", 0, "b"): 3,
        ("a", 0, "c"): 4,
        ("a", 0, "c", "d"): 4,
        ("a", 0, "c", "e"): 5,
        ("a", 1): 6,
    }


def test_an_empty_file_is_nothing_and_not_wrong(read):
    assert read("") == tree.Document(None)
    assert read("# only words\n") == tree.Document(None)


def test_a_key_written_twice_names_both_lines(read):
    finding = only(read("a: 1\nb: 2\na: 3\n"))
    assert (finding.path, finding.line) == (("a",), 3)
    assert "first in line 1" in finding.wrong


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        ("a: 1\n\tb: 2\n", 2, "tab"),
        ("a: 1\nb: !!python/object/apply:os.system [x]\n", 2, "tag"),
        ("a: !!str 1\n", 1, "tag"),
        ("a: &x 1\nb: *y\n", 2, "alias"),
        ("a: &x [*x]\n", 1, "alias"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", 3, "merge key"),
        ("a: 1\n[b, c]: 2\n", 2, "as a key"),
        ("a: 1\n~: 2\n", 2, "without a name"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: 1\nb: 'x\n", None, "not YAML"),
        ("a: b: c\n", 1, "not YAML"),
        ("a: 1\nb: \x07\n", 2, "U+0007"),
        ("a: \x00", 1, "U+0000"),
    ],
)
def test_what_is_refused_is_refused_with_its_line(read, text, line, wrong):
    finding = only(read(text))
    assert wrong in finding.wrong
    assert line is None or finding.line == line


def test_an_alias_stands_for_a_whole_value(read):
    assert read("a: &x {b: [1, 2]}\nc: *x\n").value == {"a": {"b": ["1", "2"]}, "c": {"b": ["1", "2"]}}


def test_what_a_syntax_error_quotes_is_not_repeated(read):
    for text in ("p: !hunter2!x y\n", "p: *hunter2\n", "p: {hunter2: [}\n", "p: %hunter2\n", 'p: "hunter2\\q"\n'):
        for finding in read(text).findings:
            assert "hunter2" not in finding.wrong + finding.right


COSTLY = {
    "flow": ("[" * 100_000, "deeper"),
    "braces": ("{" * 100_000, "deeper"),
    "lists": ("- " * 100_000, "deeper"),
    "keys": ("? " * 100_000, "deeper"),
    "bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "\n".join(f"b{i}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]" for i in range(9)),
        "unfold",
    ),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_file_that_would_cost_much_is_refused_soon(read, name):
    text, wrong = COSTLY[name]
    begin = time.process_time()
    assert wrong in only(read(text)).wrong
    assert time.process_time() - begin < 20


def test_more_values_than_anyone_writes_are_refused():
    assert "more than 100000 values" in only(tree.read("[" + "a," * 150_000 + "]")).wrong
