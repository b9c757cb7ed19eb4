from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.document import DocumentError, Origin, parse_document, parse_value, read_document, write_yaml


def test_every_key_knows_its_line_and_column() -> None:
    document = parse_document("a: 1\nb:\n  c: {d: 2}\n", "x.yaml")
    assert str(document.origin(("b", "c", "d"))) == "x.yaml:3:7"


def test_a_place_without_a_key_has_the_origin_of_what_is_above_it() -> None:
    document = parse_document("a:\n  b: 1\n", "x.yaml")
    assert str(document.origin(("a", "b", "missing"))) == "x.yaml:2:3"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("on", "on"), ("yes", "yes"), ("012", 12), ("0x10", 16), ("-1%", "-1%"), ("~", None)],
)
def test_scalars_are_read_as_yaml_1_2(text: str, value: object) -> None:
    assert parse_value(text, Origin("--set x")) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("# only a comment\n", "empty file"),
        ("- 1\n- 2\n", "must be a mapping"),
        ("a: [1, 2\n", "x.yaml:2:1: must be YAML"),
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3:1: a key must be given once"),
        ("a: !!python/object/apply:os.system ['true']\n  b", "must be YAML"),
        ("a: \x00", "must be YAML"),
        ("a:\n  1: x\n", r"x.yaml:2:3: a key must be text, got 1; quote it"),
        ("true: x\n", "a key must be text, got True"),
    ],
)
def test_what_is_no_mapping_of_yaml_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message) as refused:
        parse_document(text, "x.yaml")
    assert "\n" not in str(refused.value)


def test_a_tag_constructs_no_object() -> None:
    document = parse_document("a: !!python/object/apply:os.getcwd []\nb: !thing 1\n", "x.yaml")
    assert document.values["a"] in ([], "[]")


def test_aliases_that_explode_are_refused() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(DocumentError, match="at most"):
        parse_document("\n".join(levels), "bomb.yaml")


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_bytes(b"\xff\xfe\x00a")])
def test_a_missing_file_a_folder_and_bytes_that_are_no_text_are_refused(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "spec.yaml"
    make(path)
    with pytest.raises(DocumentError, match="must"):
        read_document(path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert read_document(path).values == {"name": "x"}


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), PLAIN, min_size=1, max_size=3))
def test_what_is_written_reads_back_equal(values: dict[str, object]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        write_yaml(values, path, "two\nlines")
        assert read_document(path).values == values


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_document(text, "x.yaml")
    except DocumentError as refused:
        assert "\n" not in str(refused)  # noqa: PT017


def test_a_merged_key_has_the_origin_of_what_it_was_merged_into() -> None:
    document = parse_document("base: &b {x: 1}\nuse:\n  <<: *b\n  y: 2\n", "x.yaml")
    assert document.values["use"] == {"x": 1, "y": 2}
    assert str(document.origin(("use", "x"))) == "x.yaml:2:1"
