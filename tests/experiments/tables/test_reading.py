"""Tables from files: whatever the separator, the line ends and the size."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.tables import reading
from experiments.tables.reading import TableError, open_table


def rows_of(path: Path, *columns: str, separator: str | None = None) -> list[dict[str, object]]:
    return [row for piece in open_table(path, separator).pieces(columns) for row in piece.to_pylist()]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["no mark", "byte-order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_line_ends_and_mark_of_the_file_do_not_matter(
    tmp_path: Path, start: bytes, end: str, separator: str
) -> None:
    path = tmp_path / "t.csv"
    lines = [["user", "what, and; where|", "n"], ["a", 'one "two", three;\tfour|', "1"], ["b", "line\nbreak", ""]]
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in line] for line in lines]
    path.write_bytes(start + "".join(separator.join(line) + end for line in quoted).encode())
    assert rows_of(path, "user", "what, and; where|", "n") == [
        dict(zip(lines[0], line, strict=True)) for line in lines[1:]
    ]


def test_a_separator_that_is_told_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,x;b,y;c,z\n1;2;3\n")
    assert open_table(path).columns == ("a", "x;b", "y;c", "z")
    assert rows_of(path, "a,x", "c,z", separator=";") == [{"a,x": "1", "c,z": "3"}]


def test_empty_lines_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\na,b\n\n1,2\n\n")
    assert rows_of(path, "a", "b") == [{"a": "1", "b": "2"}]


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert rows_of(path, "b") == [{"b": "2"}]


def test_parquet_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", None]}), path)
    assert rows_of(path, "b") == [{"b": "x"}, {"b": None}]


def test_no_more_than_a_piece_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE_BYTES", 1000)
    monkeypatch.setattr(reading, "PIECE_ROWS", 100)
    n = 2000
    csv, parquet = tmp_path / "t.csv", tmp_path / "t.parquet"
    csv.write_text("a,b\n" + "".join(f"{k},{k}\n" for k in range(n)))
    pq.write_table(pa.table({"a": np.arange(n)}), parquet)
    for path in (csv, parquet):
        sizes = [piece.num_rows for piece in open_table(path).pieces(["a"])]
        assert sum(sizes) == n
        assert max(sizes) <= 250  # of 4 bytes a row, 1000 bytes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found an empty file"),
        (b"\n\n", "found an empty file"),
        (b"a,b\n1,2\n3\n", "row 2 below the header must have 2 values, as the header has, found 1: 3"),
        (b"a,b\n1,2\n3,4,5\n", "row 2 below the header must have 2 values, as the header has, found 3: 3,4,5"),
        (b"a,b\n1,\xff\xfe\n", "must be UTF-8 text"),
        ("a,b\n1,2\n".encode("utf-16"), "found UTF-16 text; save it"),
        (b"PK\x03\x04 and so on", "found a ZIP or Excel file; save it"),
        (b"PAR1 and no more", "must be Parquet"),
    ],
)
def test_what_is_no_table_is_refused_with_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(TableError) as caught:
        rows_of(path, "a", "b")
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(caught.value.lines) == 1
    assert "\n" not in caught.value.lines[0]


def test_a_path_that_leads_nowhere_or_to_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="must exist"):
        open_table(tmp_path / "none.csv")
    with pytest.raises(TableError, match="found a folder"):
        open_table(tmp_path)


@pytest.mark.parametrize("tail", ["", "4,5\n" * 50_000], ids=["few rows", "many rows"])
def test_a_quote_that_never_ends_is_refused_instead_of_swallowing_the_rest(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,2\n3,"x\n' + tail)
    with pytest.raises(TableError, match="row 2 below the header has a quote that never ends"):
        rows_of(path, "a")


def test_a_quote_within_a_value_is_a_letter_like_others(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,screen of 5"\n2,x\n')
    assert [row["b"] for row in rows_of(path, "a", "b")] == ['screen of 5"', "x"]


def test_bytes_that_are_no_text_do_no_harm_in_columns_that_are_not_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("a,city\n1,Köln\n".encode("latin-1"))
    assert rows_of(path, "a") == [{"a": "1"}]
    with pytest.raises(TableError, match="save it as UTF-8"):
        rows_of(path, "city")
