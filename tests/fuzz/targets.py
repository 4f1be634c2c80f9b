"What is fuzzed: a function of bytes for every format, which may raise `InputError` and nothing else."
import io
import struct
import tempfile
import zlib
from pathlib import Path

from ltseg.files import InputError
from ltseg.flow import parse_flo, parse_kitti, parse_npy, parse_npz, check_flow
from ltseg.splits import FILE_COLUMNS, _check_cells, _tidy, parse_cells

BASE = Path(tempfile.gettempdir())/'ltseg-fuzz'  # an empty folder: whatever a table names is not there


def flow_target(parse):
    "Parse, and check what came out of it."
    def target(data: bytes):
        try: flow = check_flow(parse(io.BytesIO(data), len(data), 'fuzz'), 'fuzz', bad_flow='zero')
        except InputError: return
        assert flow.shape[0] == 2 and flow.isfinite().all()
    return target


def csv(data: bytes):
    "A table of a DataSplit: its cells, then all checks but those of the files themselves."
    try:
        cells = parse_cells(io.BytesIO(data), len(data), 'fuzz')
        _check_cells(cells, 'fuzz', BASE, ())
    except InputError: return
    table = _tidy(cells)
    assert len(table) == len(cells)
    for column in FILE_COLUMNS:
        for path in table[column].dropna():
            assert (BASE/path).resolve().is_relative_to(BASE.resolve()), path


def seal_png(data: bytes) -> bytes:
    "The same bytes with the right checksums, so that changes pass beyond them."
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        end = at + 8 + int.from_bytes(out[at:at+4], 'big')
        if end + 4 > len(out): break
        out[end:end+4] = struct.pack('>I', zlib.crc32(out[at+4:end]))
        at = end + 4
    return bytes(out)


def seal_zip(data: bytes) -> bytes:
    "The same for the first member of a zip whose bytes are stored."
    out = bytearray(data)
    centre = out.find(b'PK\1\2')
    if out[:4] != b'PK\3\4' or centre < 30 or centre + 20 > len(out): return data
    names, extra = struct.unpack('<HH', out[26:30])
    check = struct.pack('<I', zlib.crc32(out[30 + names + extra:centre]))
    out[14:18] = out[centre+16:centre+20] = check
    return bytes(out)


TARGETS = {'flo': flow_target(parse_flo), 'kitti': flow_target(parse_kitti), 'npy': flow_target(parse_npy),
           'npz': flow_target(parse_npz), 'csv': csv}
SEALS = {'kitti': seal_png, 'npz': seal_zip}
