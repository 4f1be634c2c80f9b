"What a folder means: one kind, one format, one way of naming, or the question which."
import numpy as np

from ltseg.archive import find_videos, is_archive
from ltseg.files import Notes
from ltseg.flow import is_flow, read_volume, write_flow
from ltseg.reader import open_reader
from ltseg.video import open_frames

from .made import FLOW, clip, put_pictures, put_video
from .recordings import remarks
from .table import ltseg, marked, row

find_videos, open_frames, open_reader, read_volume = map(marked, (find_videos, open_frames, open_reader, read_volume))


QUICK = ['--method', 'em', '-K', 2]

def videos(folder, names=('1.mp4', '2.mp4')):
    folder.mkdir(exist_ok=True)
    for name in names: put_video(folder/name, clip(3), 'mpeg2video' if name.endswith('.ts') else 'mpeg4', 'yuv420p')
    return folder

def named(folder, form, n=4):
    "Pictures with the names that `form` gives to numbers."
    put_pictures(folder, clip(n), '.png')
    for t in range(n): (folder/f'{t}.png').rename(folder/form.format(t))
    return folder

def both_ways(folder):
    "Forward and backward flow."
    folder.mkdir()
    for t in range(3):
        write_flow(folder/f'{t}_fwd.flo', FLOW + t)
        write_flow(folder/f'{t}_bwd.flo', -FLOW - t)
    return folder


@row('Folders', 'two thumbnails beside videos', '2 videos', '2 pictures', "f/*.mp4'", "f/*.png'")
def _(d):
    put_pictures(videos(d/'f'), clip(2))
    ltseg('segment', d/'f', '-o', d/'OUT', *QUICK)

@row('Folders', 'the same, the videos named by a pattern', works=True)
def _(d):
    put_pictures(videos(d/'f'), clip(2))
    ltseg('segment', d/'f'/'*.mp4', '-o', d/'OUT', *QUICK)
    assert {p.name for p in (d/'OUT').iterdir() if p.is_dir()} == {'1', '2'}
    return 'two videos are segmented'

@row('Folders', 'the same, the pictures named by a pattern', works=True)
def _(d):
    put_pictures(videos(d/'f'), clip(3))
    ltseg('segment', d/'f'/'*.png', '-o', d/'OUT', *QUICK)
    assert [p.name for p in sorted((d/'OUT'/'labels').iterdir())] == ['0.png', '1.png']
    return 'the pictures are segmented as one video'

@row('Folders', 'a pattern that the shell has replaced by the names', 'quotes', '*.png')
def _(d): ltseg('segment', *sorted(put_pictures(d/'f', clip(3)).iterdir()), '-o', d/'OUT', *QUICK)

@row('Folders', 'a pattern that matches nothing', 'f/*.jpg', 'no file matches')
def _(d): ltseg('segment', put_pictures(d/'f', clip(3))/'*.jpg', '-o', d/'OUT', *QUICK)

@row('Folders', 'one `.tif` among `.png`', '3 pictures', '1 picture (9.tif)', "f/*.png'")
def _(d):
    put_pictures(d/'f', clip(3))
    put_pictures(d/'t', clip(1), '.tif')
    (d/'t'/'0.tif').rename(d/'f'/'9.tif')
    yield
    open_frames(d/'f')

@row('Folders', '`.ts` beside `.mp4`', works=True)
def _(d):
    found = find_videos([videos(d/'f', ['1.mp4', '2.ts', '10.MOV'])])
    assert [p.name for p in found] == ['1.mp4', '2.ts', '10.MOV']
    return 'all are videos'

@row('Folders', 'masks beside frames (`0.png`, `0_mask.png`)', '4 pictures (0.png', '4 pictures (0_mask.png', "f/*[0-9].png'", "f/[0-9]*_mask.png'")
def _(d):
    named(named(d/'f', '{}_mask.png'), '{}.png')
    yield
    open_frames(d/'f')

@row('Folders', 'the same, the frames named by a pattern', works=True)
def _(d):
    frames = open_frames(named(named(d/'f', '{}_mask.png'), '{}.png')/'*[0-9].png')
    assert [frames.name(t) for t in range(len(frames))] == ['0', '1', '2', '3']
    return 'only these are read'

@row('Folders', 'a cover among frames', '4 pictures', '1 picture (cover.png)', "f/*[0-9].png'")
def _(d):
    named(d/'f', 'cover.png', 1)
    named(d/'f', '{:03d}.png')
    yield
    open_frames(d/'f')

@row('Folders', 'names that have nothing in common', works=True)
def _(d):
    for name in ('city', 'beach 2', 'me'): named(d/'f', f'{name}.png', 1)
    assert len(open_frames(d/'f')) == 3
    return 'read in natural order'

@row('Folders', 'forward and backward flow', '3 flow files (0_fwd.flo', '3 flow files (0_bwd.flo', "f/[0-9]*_fwd.flo'")
def _(d): ltseg('segment', both_ways(d/'f'), '-o', d/'OUT', *QUICK)

@row('Folders', 'the same, one way named by a pattern', works=True)
def _(d):
    pattern = both_ways(d/'f')/'[0-9]*_fwd.flo'
    assert is_flow(pattern) and np.array_equal(read_volume(pattern)[:, 2], FLOW + 2)
    reader = open_reader(pattern)
    assert [reader.name(t) for t in range(3)] == ['0_fwd', '1_fwd', '2_fwd'] and len(list(reader.steps())) == 3
    return 'only these are read'

@row('Folders', 'flow in two formats', '2 flow files', '1 flow file (2.npy)')
def _(d):
    for name in ('0.flo', '1.flo', '2.npy'): write_flow(d/name, FLOW)
    yield
    read_volume(d)

@row('Folders', 'flow beside the frames that it comes from', '3 pictures', '2 flow files')
def _(d):
    put_pictures(d, clip(3), '.jpg')
    for t in range(2): write_flow(d/f'{t}.flo', FLOW)
    yield
    open_reader(d)

@row('Folders', 'what a Mac or Windows puts beside files (`._1.mp4`, `.DS_Store`, `Thumbs.db`)', works=True)
def _(d):
    videos(d/'f')
    for name in ('._1.mp4', '.DS_Store', 'Thumbs.db', 'desktop.ini', '.hidden.jpg'): (d/'f'/name).write_bytes(b'\0\5\x16\7')
    with remarks() as said: found = find_videos([d/'f'])
    assert [p.name for p in found] == ['1.mp4', '2.mp4'] and not said
    for p in found: p.unlink()
    put_pictures(d/'f', clip(3))
    with remarks() as said: frames = open_frames(d/'f'); n = len(list(frames))
    assert n == 3 and not said
    return 'not seen'

@row('Folders', 'notes, sound and other folders beside frames', works=True)
def _(d):
    put_pictures(d/'f', clip(3))
    (d/'f'/'times.txt').touch(); (d/'f'/'sound.wav').touch(); (d/'f'/'old').mkdir()
    with remarks() as said: frames = open_frames(d/'f'); reader = open_reader(d/'f')
    line = f'{d}/f: 3 pictures (0.png, …, 2.png) are taken; passed over: old/, sound.wav, times.txt'
    assert frames.notes == reader.notes == [line] and set(said) == {line}
    return 'read, with one line on what was passed over'

@row('Folders', 'a list and a text beside videos', works=True)
def _(d):
    (videos(d/'f')/'read me.txt').touch()
    with remarks() as said: find_videos([d/'f'], notes := Notes())
    assert said == notes == [f'{d}/f: 2 videos (1.mp4, 2.mp4) are taken; passed over: read me.txt']
    return 'the videos are taken, with one line on what was passed over'

@row('Folders', 'an earlier result beside videos', works=True)
def _(d):
    videos(d/'f')
    ltseg('segment', d/'f'/'1.mp4', '-o', d/'f'/'OUT', *QUICK)
    with remarks() as said: found = find_videos([d/'f'])
    assert [p.name for p in found] == ['1.mp4', '2.mp4'] and not said
    return 'no video'

@row('Folders', 'a folder of videos where frames are expected', 'expected frames', '2 videos')
def _(d):
    videos(d/'f')
    yield
    open_frames(d/'f')

@row('Folders', 'a folder of frames where flow is expected', 'expected flow files', '3 pictures')
def _(d):
    put_pictures(d/'f', clip(3))
    yield
    read_volume(d/'f')

@row('Folders', 'a folder of KITTI flow, whose endings are those of pictures', works=True)
def _(d):
    (d/'f').mkdir()
    for t in range(3): write_flow(d/'f'/f'{t}.png', FLOW)
    assert is_flow(d/'f') and not is_archive([d/'f']) and read_volume(d/'f').shape == (2, 3, 24, 32)
    return 'read as flow, by the header'

@row('Folders', 'a name with brackets that is no pattern', works=True)
def _(d):
    put_pictures(d/'f[1]', clip(3))
    (d/'f1').mkdir()
    assert len(open_frames(d/'f[1]')) == 3
    return 'read: a name that is there is a name'

@row('Folders', 'an empty name', 'empty name')
def _(d):
    yield
    open_reader('')

@row('Folders', 'an empty name, as of a variable that is not set, in the program', 'empty')
def _(d): ltseg('segment', '', '-o', d/'OUT', *QUICK)

@row('Folders', 'an empty name among others', 'empty')
def _(d): ltseg('segment', videos(d/'f')/'1.mp4', '', '-o', d/'OUT', *QUICK)
