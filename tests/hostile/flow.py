"Flow files."
import pickle
import struct
import zipfile

import numpy as np

from ltseg.flow import is_flow, read_flow, read_volume, write_flow

from .made import FLOW, changed, flo, png, sprung
from .table import row


@row('Flow', 'a `.flo` cut short', 'bytes for 32×24 pixels')
def _(d):
    path = flo(d, lambda b: b[:-1])
    yield
    read_flow(path)

@row('Flow', 'a `.flo` with bytes too many', 'bytes for 32×24 pixels')
def _(d):
    path = flo(d, lambda b: b + bytes(8))
    yield
    read_flow(path)

@row('Flow', 'a `.flo` that starts like something else', 'PIEH')
def _(d):
    path = flo(d, lambda b: b'RIFF' + b[4:])
    yield
    read_flow(path)

@row('Flow', 'twelve bytes of `.flo` that claim 32768×32768', '12 bytes')
def _(d):
    path = flo(d, lambda b: b'PIEH' + struct.pack('<ii', 32768, 32768))
    yield
    read_flow(path)

for ending in ('.flo', '.png', '.npy', '.npz'):
    @row('Flow', f'a `{ending}` of zero bytes', f'a{ending}')
    def _(d, ending=ending):
        (d/f'a{ending}').touch()
        yield
        read_flow(d/f'a{ending}')

@row('Flow', 'NaN or infinity', '2 pixels', '(3, 5)')
def _(d):
    bad = FLOW.clone()
    bad[1, 3, 5], bad[0, 7, 2] = float('nan'), float('inf')
    np.save(d/'a.npy', bad.numpy())
    yield
    read_flow(d/'a.npy')

@row('Flow', 'the same with `--bad-flow zero`', works=True)
def _(d):
    bad = FLOW.clone()
    bad[1, 3, 5], bad[0, 7, 2] = float('nan'), float('inf')
    np.save(d/'a.npy', bad.numpy())
    yield
    flow = read_flow(d/'a.npy', bad_flow='zero')
    assert (flow[:, [3, 7], [5, 2]] == 0).all() and int((flow != FLOW).any(0).sum()) == 2
    return 'read; those pixels are at rest'

def packed(path, size, how=zipfile.ZIP_DEFLATED):
    "A zip with an array of `size` zeros, written in pieces."
    with zipfile.ZipFile(path, 'w', how) as z, z.open('flow.npy', 'w', force_zip64=True) as f:
        np.lib.format.write_array_header_1_0(f, dict(descr='<f4', fortran_order=False, shape=(2, size//8, 1)))
        for _ in range(size // 2**20): f.write(bytes(2**20))
    return path

def claims(path, size, packed_size=None): # patches the sizes in the two headers of a zip of one file
    def change(data):
        out = bytearray(data)
        for at in (out.find(b'PK\3\4') + 22, out.find(b'PK\1\2') + 24): out[at:at+4] = struct.pack('<I', size)
        return bytes(out)
    return changed(path, change)

@row('Flow', 'an `.npz` bomb: bzip2, 16 MB in 57 bytes', 'stored or deflated')
def _(d):
    path = packed(d/'a.npz', 2**24, zipfile.ZIP_BZIP2)
    yield
    read_flow(path)

@row('Flow', 'an `.npz` bomb that states 5 GB of zeros', 'unpacked at most')
def _(d):
    path = packed(d/'a.npz', 2**20)
    extra = struct.pack('<HHQQ', 1, 16, 5*2**30, 5*2**20) # zip64 sizes in the central directory
    data = bytearray(path.read_bytes())
    at = data.find(b'PK\1\2')
    name, more, note = struct.unpack('<HHH', data[at+28:at+34])
    data[at+20:at+28] = b'\xff'*8
    data[at+30:at+32] = struct.pack('<H', len(extra))
    data[at+46+name:at+46+name+more] = extra
    end = data.find(b'PK\5\6')
    data[end+12:end+16] = struct.pack('<I', end - at)
    path.write_bytes(data)
    yield
    read_flow(path)

@row('Flow', 'an `.npz` of 1 kB that states 3 GB, which deflate cannot pack so tight', 'unpacked ones')
def _(d):
    path = claims(packed(d/'a.npz', 2**20), 3*2**30)
    yield
    read_flow(path)

@row('Flow', 'an `.npz` with a password', 'password')
def _(d):
    def lock(data):
        out = bytearray(data)
        for at in (out.find(b'PK\3\4') + 6, out.find(b'PK\1\2') + 8): out[at] |= 1
        return bytes(out)
    path = changed(packed(d/'a.npz', 2**20), lock)
    yield
    read_flow(path)

@row('Flow', 'a pickled `.npy`, with code inside', 'floating-point')
def _(d):
    with sprung(d) as trap:
        np.save(d/'a.npy', np.array([trap], dtype=object), allow_pickle=True)
        yield
        read_flow(d/'a.npy')

@row('Flow', 'a pickled array in an `.npz`', 'floating-point')
def _(d):
    with sprung(d) as trap:
        np.savez(d/'a.npz', flow=np.array([trap], dtype=object))
        yield
        read_flow(d/'a.npz')

@row('Flow', 'a bare pickle called `.npy`', 'NumPy file')
def _(d):
    with sprung(d) as trap:
        (d/'a.npy').write_bytes(pickle.dumps(trap, protocol=2))
        yield
        read_flow(d/'a.npy')

@row('Flow', 'an `.npy` whose header is no Python', 'header')
def _(d):
    write_flow(d/'a.npy', FLOW)
    path = changed(d/'a.npy', lambda b: b.replace(b"'shape': (", b"'shape': [("))
    yield
    read_flow(path)

@row('Flow', 'an `.npy` whose header has a key of bytes', 'header')
def _(d):
    write_flow(d/'a.npy', FLOW)
    path = changed(d/'a.npy', lambda b: b.replace(b", 'shape'", b",b'shape'"))
    yield
    read_flow(path)

@row('Flow', 'an `.npy` of integers', 'floating-point', 'scale it first')
def _(d):
    np.save(d/'a.npy', np.zeros((2, 8, 8), np.int16))
    yield
    read_flow(d/'a.npy')

@row('Flow', 'a KITTI PNG of 200 bytes that claims 32768×32768', '134,217,728 pixels')
def _(d):
    (d/'a.png').write_bytes(png(32768, 32768, 16, 2, bytes(100)))
    yield
    read_flow(d/'a.png')

@row('Flow', 'a KITTI PNG with a byte changed', 'truncated or damaged')
def _(d):
    write_flow(d/'a.png', FLOW)
    path = changed(d/'a.png', lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:])
    yield
    read_flow(path)

@row('Flow', 'a photograph of 16 bits taken for a KITTI PNG', '16 bits', 'blue')
def _(d):
    grain = np.random.default_rng(0).integers(0, 2**16, (8, 8, 3)).astype('>u2')
    (d/'a.png').write_bytes(png(8, 8, 16, 2, b''.join(b'\0' + line.tobytes() for line in grain)))
    yield
    assert is_flow(d/'a.png')
    read_flow(d/'a.png')

@row('Flow', 'a folder with flow of two sizes', '1.flo', '32×24', '32×20')
def _(d):
    write_flow(d/'0.flo', FLOW)
    write_flow(d/'1.flo', FLOW[:, :20])
    yield
    read_volume(d)

@row('Flow', 'a link in a folder of flow that leads nowhere', '1.flo', 'nothing of that name')
def _(d):
    write_flow(d/'0.flo', FLOW)
    (d/'1.flo').symlink_to(d/'gone.flo')
    yield
    read_volume(d)
