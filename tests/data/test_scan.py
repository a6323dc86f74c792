"""Whatever the file and however it is cut: its pieces put together are the table that reading it whole gives."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet
import pytest

from trainwell.base import DataError
from trainwell.data import read_table
from trainwell.data.blocks import Blocks, Places
from trainwell.data.footers import feather_parts, parquet_parts
from trainwell.data.scan import Scan, check_parts, open_scan, read_blocks

N = 1201


def frame() -> pl.DataFrame:
    draw = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "number": draw.normal(size=N),
            "whole": draw.integers(0, 100, N),
            "words": [f'say "{i % 7}",\nplease' if i % 5 == 0 else f"é{i % 9}" for i in range(N)],
            "holes": [None if i % 11 == 0 else i / 2 for i in range(N)],
            "code": [f"{i % 30:03d}" for i in range(N)],
            "y": draw.choice(["u", "v"], N),
        }
    )


def written(folder: Path, name: str) -> Path:
    path, f = folder / name, frame()
    x, y = f.select("number", "whole").to_numpy(), f["whole"].to_numpy()
    match name:
        case "a.csv":
            f.write_csv(path)
        case "windows.csv":
            path.write_bytes(f.write_csv().replace("\n", "\r\n").encode("cp1252"))
        case "semicolons.csv":
            path.write_text(f.drop("words").write_csv(separator=";").replace(".", ","), encoding="utf-8")
        case "blank.tsv":
            path.write_text(f.drop("words").write_csv(separator="\t").replace("\nv", "\n\nv") + "\n", encoding="utf-8")
        case "a.csv.gz":
            path.write_bytes(gzip.compress(f.write_csv().encode()))
        case "a.parquet":
            f.write_parquet(path, row_group_size=300)
        case "a.feather":
            f.write_ipc(path, record_batch_size=300)
        case "arrow.feather":
            feather.write_feather(f.to_arrow(), path, chunksize=250)
        case "a.npz":
            np.savez(path, X=x, y=y)
        case "packed.npz":
            np.savez_compressed(path, X=np.ascontiguousarray(x), y=y, feature_names=np.array(["one", "two"]))
        case "columns.npz":
            np.savez(path, one=x[:, 0], two=y, three=f["y"].to_numpy().astype(str))
    return path


FILES = [
    *("a.csv", "windows.csv", "semicolons.csv", "blank.tsv", "a.csv.gz"),
    *("a.parquet", "a.feather", "arrow.feather", "a.npz", "packed.npz", "columns.npz"),
]


def scanned(path: Path) -> Scan:
    scan = open_scan(path)
    assert scan is not None
    return scan


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("size", "most"), [(16, 50), (200, 200), (5000, 5000)])
def test_pieces_make_the_whole_table(tmp_path: Path, name: str, size: int, most: int) -> None:
    scan, whole = scanned(written(tmp_path, name)), read_table(tmp_path / name)
    assert scan.columns == whole.columns and scan.source == whole.source
    raw, places = read_blocks(scan, Blocks(size), most)
    assert scan.table(raw, 0).frame.equals(whole.frame) and scan.rows == N and places.tolist() == list(range(N))
    pieces = [scan.table(piece, place, whole.frame) for place, piece in scan.pieces(Blocks(size), most)]
    assert pl.concat([p.frame for p in pieces], how="vertical_relaxed").equals(whole.frame)
    assert [p.first_row - 1 for p in pieces] == np.cumsum([0, *(p.rows for p in pieces[:-1])]).tolist()


@pytest.mark.parametrize("name", FILES)
def test_blocks_and_single_rows_are_those_of_the_whole_table(tmp_path: Path, name: str) -> None:
    scan, whole = scanned(written(tmp_path, name)), read_table(tmp_path / name)
    for blocks in (Blocks(16, 0.3, 0.5), Places((0, 7, 8, 1200))):
        raw, places = read_blocks(scan, blocks, 100)
        assert scan.table(raw, 0, whole.frame).frame.equals(whole.frame[places])
    assert places.tolist() == [0, 7, 8, 1200]


@pytest.mark.parametrize("name", FILES)
def test_rows_and_their_size_are_known_before_they_are_read(tmp_path: Path, name: str) -> None:
    scan, whole = scanned(written(tmp_path, name)), read_table(tmp_path / name)
    assert scan.rows == pytest.approx(N, rel=0.05 if name.endswith((".csv", ".tsv", ".gz")) else 0)
    assert 0.5 < scan.row_bytes * N / whole.frame.estimated_size() < 4


@pytest.mark.parametrize("name", ["a.parquet", "a.feather"])
def test_only_the_columns_asked_for_are_read_where_the_file_permits(tmp_path: Path, name: str) -> None:
    _, piece = next(scanned(written(tmp_path, name)).pieces(Blocks(100), 100, ["y", "whole"]))
    assert piece.columns == ["y", "whole"]


def test_a_column_keeps_the_type_of_the_whole_in_a_piece_that_would_have_another(tmp_path: Path) -> None:
    lines = [f"{i},{'-' if i < 10 else i},{i}" for i in range(40)] + ["40,40,word"]
    (tmp_path / "a.csv").write_text("a,b,c\n" + "\n".join(lines) + "\n", encoding="utf-8")
    scan, whole = scanned(tmp_path / "a.csv"), read_table(tmp_path / "a.csv")
    _, first = next(scan.pieces(Blocks(10), 10))
    alone, piece = scan.table(first, 0).frame, scan.table(first, 0, whole.frame).frame
    assert alone.schema["b"] == pl.String and piece.schema["b"] == pl.Float64 and piece["b"].null_count() == 10
    assert alone.schema["c"] == pl.Int64 and piece["c"].to_list() == whole.frame["c"].head(10).to_list()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n" + "1,2\n" * 30 + "1,2,3\n" + "1,2\n" * 9, r"line 32: 3 fields where the header has 2"),
        ("a,b\n" + "1,2\n" * 30 + '"1,2\n' + "1,2\n" * 9, r"line 32: 1 field where the header has 2"),
    ],
)
def test_a_damaged_line_is_named_by_its_number(tmp_path: Path, text: str, message: str) -> None:
    good = "a,b\n" + "1,2\n" * 40
    (tmp_path / "a.csv").write_text(good, encoding="utf-8")
    scan = scanned(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        list(scan.pieces(Blocks(4), 4))


def test_files_that_became_damaged_are_named(tmp_path: Path) -> None:
    for name in ("a.parquet", "a.npz", "a.csv.gz"):
        scan = scanned(written(tmp_path, name))
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(DataError, match=f"^'{name}' is damaged: "):
            list(scan.pieces(Blocks(100), 100))


def test_what_is_in_memory_unknown_or_only_read_whole_is_no_scan(tmp_path: Path) -> None:
    assert open_scan(frame()) is None and open_scan("iris") is None
    for name, content in {
        "utf16.csv": "a,b\n1,2\n".encode("utf-16"),
        "old-mac.csv": b"a,b\r1,2\r",
        "empty.csv": b"",
        "header.csv": b"a,b\n",
        "damaged.parquet": b"PAR1 and so on",
        "picture.png": b"\x89PNG",
    }.items():
        (tmp_path / name).write_bytes(content)
        assert open_scan(tmp_path / name) is None
    assert open_scan(tmp_path / "missing.csv") is None
    np.savez(tmp_path / "uneven.npz", X=np.zeros((3, 2)), y=np.zeros(4))
    np.savez_compressed(tmp_path / "columns-first.npz", X=np.zeros((3, 2), order="F"), y=np.zeros(3))
    assert open_scan(tmp_path / "uneven.npz") is None and open_scan(tmp_path / "columns-first.npz") is None


def test_footers_say_what_the_library_that_wrote_them_says(tmp_path: Path) -> None:
    table = (
        frame()
        .to_arrow()
        .cast(
            pa.schema(
                [
                    f.with_type(pa.large_string() if f.type == pa.string_view() else f.type)
                    for f in frame().to_arrow().schema
                ]
            )
        )
    )
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=500)
    group = parquet.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0)
    found = parquet_parts(tmp_path / "a.parquet")
    assert (found.rows, found.bytes) == (group.num_rows, group.total_byte_size)
    frame().write_parquet(tmp_path / "b.parquet", row_group_size=300)
    assert parquet_parts(tmp_path / "b.parquet").rows == 300
    feather.write_feather(table, tmp_path / "a.feather", chunksize=400, compression="uncompressed")
    assert feather_parts(tmp_path / "a.feather", N).rows == pytest.approx(400, rel=0.05)
    for name in ("a.parquet", "a.feather"):
        (tmp_path / name).write_bytes(b"nothing of the kind, but long enough")
    with pytest.raises(ValueError, match="footer"):
        parquet_parts(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="footer"):
        feather_parts(tmp_path / "a.feather", N)


def test_a_file_of_parts_that_do_not_fit_is_refused_in_one_line(tmp_path: Path) -> None:
    scan = scanned(written(tmp_path, "a.parquet"))
    check_parts(scan, 6 * scan.parts.bytes)
    with pytest.raises(
        DataError, match=r"^'a\.parquet' is written in parts of 300 rows \(.* KiB\); to be read"
    ) as raised:
        check_parts(scan, 6 * scan.parts.bytes - 1)
    assert "row_group_size" in str(raised.value) and "TRAINWELL_MEMORY" in str(raised.value)
