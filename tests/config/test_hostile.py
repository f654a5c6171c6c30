"""Whatever stands in the file: a Config or a ConfigError, soon."""

import time

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamwatch.config.loader import load, parse
from streamwatch.config.models import Config
from streamwatch.domain.errors import ConfigError
from tests.config.conftest import HEAD, MINIMAL

KEYS = sorted(
    {key for section in Config.model_json_schema()["$defs"].values() for key in section.get("properties", {})}
    | set(Config.model_fields)
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["10s", "${X}", "$${X}", "${file:x}", "rtmp://h/a/b", "mqtt://h", "test", "onnx", "1GiB", "0.5", "::1"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=5)), inner, max_size=6),
    ),
    max_leaves=30,
)


def refusal(read):
    """The ConfigError that `read` ends in, None where it does not; any other exception fails the test."""
    try:
        loaded = read()
    except ConfigError as refused:
        return refused
    assert isinstance(loaded.config, Config)
    repr(loaded)
    return None


def loads_or_refuses(text, path):
    refused = refusal(lambda: parse(text, path=path, environ={"X": "x"}))
    if refused is not None:
        assert refused.problems
        assert all(problem.where and problem.wrong for problem in refused.problems)
        assert all(str(problem).isprintable() for problem in refused.problems)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes(tmp_path, data):
    path = tmp_path / "c.yaml"
    path.write_bytes(data)
    refused = refusal(lambda: load(path, environ={}))
    assert refused is not None
    assert refused.problems


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"%@#,?\n\t $~<0."), max_size=200))
def test_any_yaml_punctuation(tmp_path, text):
    loads_or_refuses(text, tmp_path / "c.yaml")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=10))
def test_any_values_under_known_keys(tmp_path, values):
    loads_or_refuses(yaml.safe_dump(values, allow_unicode=True), tmp_path / "c.yaml")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_good_file_with_any_part_replaced(tmp_path, data):
    tree = yaml.safe_load(MINIMAL)
    tree |= {name: {} for name in ("sampling", "limits", "privacy", "http", "state")}
    tree["origins"] = [{"name": "o", "kind": "srs", "api": "http://h", "read": "rtmp://h/{app}/{name}"}]
    place = tree
    step = data.draw(st.sampled_from([*tree, *KEYS]))
    while isinstance(place.get(step), dict | list) and place[step] and data.draw(st.booleans()):
        place = place[step][0] if isinstance(place[step], list) else place[step]
        step = data.draw(st.sampled_from([*place, *KEYS]))
    place[step] = data.draw(VALUES)
    loads_or_refuses(yaml.safe_dump(tree, allow_unicode=True), tmp_path / "c.yaml")


COSTLY = {
    "rules and detectors": HEAD
    + "detectors:\n"
    + "".join(f"- {{name: d{i}, kind: x}}\n" for i in range(15_000))
    + "rules:\n"
    + "".join(f"- {{name: r, detector: e{i}}}\n" for i in range(9_000)),
    "one stream many times": HEAD + "streams:\n" + "- {id: a, url: b, sampling: {max_gap: 1}}\n" * 11_000,
    "references": HEAD + "streams:\n" + "- ${NOPE}\n" * 90_000,
    "one long key": HEAD + "k" * 3_000_000 + ": 1\n",
    "one long value": HEAD + "node2: " + "v" * 3_000_000 + "\n",
    "open references": "node: " + "${file:" * 400_000 + "\n",
    "tags": "".join(f"k{i}: !t x\n" for i in range(45_000)),
    "twice": "k: 1\n" * 45_000,
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_file_made_to_cost_much_is_answered_soon(tmp_path, name):
    begin = time.process_time()
    with pytest.raises(ConfigError) as refused:
        parse(COSTLY[name], path=tmp_path / "c.yaml", environ={})
    assert time.process_time() - begin < 20
    assert len(str(refused.value)) < 200_000
