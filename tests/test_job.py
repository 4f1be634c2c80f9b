"The main job on good and bad input: results that agree with each other, errors that say what is wrong, nothing half-written."
import json
import os
import shutil
from itertools import count
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hostile import snapshot
from PIL import Image

from ltseg import result as results
from ltseg.cli import main
from ltseg.flow import write_flow
from ltseg.inference import segment, stream
from ltseg.synthetic import demo_scene
from ltseg.video import write_video


@pytest.fixture(scope='module')
def scene():
    return demo_scene(6, (96, 160))


def write_frames(folder: Path, frames, names=None):
    folder.mkdir(parents=True)
    for n, frame in enumerate(frames): Image.fromarray(frame).save(folder/(f'{n}.png' if names is None else names[n]))
    return folder


def run(*words):
    return main([str(w) for w in words])


def test_results_agree(scene, tmp_path):
    "Frames 9 and 10 in natural order, labels under the frames' names at their size, areas and labels of the same segments."
    names = [f'shot{n}.png' for n in range(7, 13)]
    frames = write_frames(tmp_path/'frames', scene.frames, names)
    out = tmp_path/'OUT'
    assert run('segment', frames, '-o', out, '-K', 3) == 0
    story, settings = (json.loads((out/f'{n}.json').read_text()) for n in ('segments', 'settings'))
    assert sorted(p.name for p in (out/'labels').iterdir()) == sorted(names[:-1])  # one per flow
    labels = np.stack([np.array(Image.open(out/'labels'/n)) for n in names[:-1]])
    assert labels.shape == (5, 96, 160) and (labels == 0).mean() >= max((labels == k).mean() for k in (1, 2))
    for s in story['segments']:
        own = (labels == s['label']).mean((1, 2))
        assert np.abs(own - s['area']).max() < .02  # areas are of the working size
        assert len(s['motion']['parameters']) == len(s['motion']['control_points']) and np.isfinite(s['loss'])
    assert story['frames'] == [n[:-4] for n in names[:-1]] and settings['K'] == 3
    with av.open(str(out/'overlay.mp4')) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ('h264', 160, 96)
        assert stream.codec_context.pix_fmt == 'yuv420p' and sum(1 for _ in video.decode(stream)) == 5
    assert Image.open(out/'contact_sheet.png').width > 500


def test_sources_agree(scene, tmp_path):
    "A video, the folder of its flow files, the volume and the tensor give the same segments."
    flow = segment(write_frames(tmp_path/'frames', scene.frames)).source.flow
    folder = tmp_path/'flow'
    folder.mkdir()
    for t in range(flow.shape[1]): write_flow(folder/f'{t}.flo', flow[:, t])
    np.save(tmp_path/'volume.npy', flow.numpy())
    write_video(tmp_path/'clip.mp4', scene.frames, 12)
    expected = segment(flow, refine=None).labels # with frames, edges would be refined by them
    for source in (folder, tmp_path/'volume.npy', tmp_path/'frames'):
        assert torch.equal(segment(source, refine=None).labels, expected), source
    assert (segment(tmp_path/'clip.mp4', refine=None).labels == expected).float().mean() > .97  # the codec changes a few pixels


@pytest.mark.parametrize('T', [1, 2])
@pytest.mark.parametrize('method', ['network', 'em'])
def test_short_and_still(T, method, tmp_path):
    np.save(tmp_path/'still.npy', np.zeros((2, T, 40, 56), np.float32))
    assert run('segment', tmp_path/'still.npy', '-o', tmp_path/'OUT', '--method', method) == 0
    story = json.loads((tmp_path/'OUT/segments.json').read_text())
    assert [s['label'] for s in story['segments']] == [0] and story['segments'][0]['area'] == [1.]*T
    assert all(np.array(Image.open(p)).max() == 0 for p in (tmp_path/'OUT/labels').iterdir())


def truncated(path, frames):
    write_video(path, frames, 12)
    path.write_bytes(path.read_bytes()[:len(path.read_bytes())//2])
    return path


def bad_flow(path):
    flow = np.ones((2, 3, 32, 48), np.float32)
    flow[0, 1, 5, 7] = np.nan
    np.save(path, flow)
    return path


BAD = {  # name -> (makes the input in a folder, words of the message)
    'single frame': (lambda d, f: write_frames(d/'one', f[:1]), ['one', '2 frames']),
    'empty folder': (lambda d, f: write_frames(d/'none', []), ['none', 'expected']),
    'differing sizes': (lambda d, f: write_frames(d/'sizes', [f[0], f[1], f[2][:50]]), ['2.png', '160×96', '160×50']),
    'truncated video': (lambda d, f: truncated(d/'cut.mp4', f), ['cut.mp4', 'expected']),
    'no such file': (lambda d, f: d/'absent.mp4', ['absent.mp4', 'expected']),
    'NaN in flow': (lambda d, f: bad_flow(d/'nan.npy'), ['nan.npy', 'NaN']),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_input(case, scene, tmp_path, capsys):
    make, words = BAD[case]
    source = make(tmp_path, scene.frames)
    before = set(tmp_path.rglob('*'))
    assert run('segment', source, '-o', tmp_path/'OUT') == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert all(w in message for w in words), message
    assert set(tmp_path.rglob('*')) == before  # nothing half-written


def test_bad_flow_can_be_zeroed(tmp_path):
    assert run('segment', bad_flow(tmp_path/'nan.npy'), '-o', tmp_path/'OUT', '--bad-flow', 'zero') == 0


def test_existing_results_are_kept(scene, tmp_path, capsys):
    frames = write_frames(tmp_path/'frames', scene.frames[:3])
    photos = write_frames(tmp_path/'photos', scene.frames[:1])
    assert run('segment', frames, '-o', photos, '--overwrite') == 2  # not one of our results
    assert (photos/'0.png').exists()
    assert run('segment', frames, '-o', tmp_path/'OUT') == 0
    stamp = (tmp_path/'OUT/segments.json').stat().st_mtime_ns
    assert run('segment', frames, '-o', tmp_path/'OUT') == 2
    assert '--overwrite' in capsys.readouterr().err and (tmp_path/'OUT/segments.json').stat().st_mtime_ns == stamp
    assert run('segment', frames, '-o', tmp_path/'OUT', '--overwrite') == 0


@pytest.mark.parametrize('words, named', [
    (['--weights', 'defualt'], 'default'), (['--motion-model', 'Quadratic'], 'QuadraticFull'), (['-K', '0'], 'K'),
    (['-K', '99'], '8'), (['--device', 'warp'], 'device'), (['--flow-weights', 'x.pth'], '--flow raft')])
def test_unknown_names(words, named, scene, tmp_path, capsys):
    frames = write_frames(tmp_path/'frames', scene.frames[:3])
    assert run('segment', frames, '-o', tmp_path/'OUT', *words) == 2
    assert named in capsys.readouterr().err and not (tmp_path/'OUT').exists()


class Halves:
    "A method that takes no time: what is tested are the files."
    max_segments, about = 2, dict(method='halves')
    def __call__(self, flow, K):
        top = (torch.arange(flow.shape[-2]) < flow.shape[-2]//K)[:, None].expand(flow[:, 0].shape).float()
        return torch.stack([top, 1 - top], 1)[:, :K]


@pytest.fixture(scope='module')
def shaken(tmp_path_factory):
    "A flow volume, and what is made of it in two pieces, without interruption."
    home = tmp_path_factory.mktemp('shaken')
    np.save(home/'a.npy', np.random.default_rng(0).normal(size=(2, 5, 16, 24)).astype(np.float32))
    job = lambda K=1: stream(home/'a.npy', K=K, method=Halves(), motion_model='Constant', window=4, overlap=1)
    job().save(home/'WHOLE')
    job(2).save(home/'finished')
    shutil.copytree(home/'finished', home/'unfinished')
    os.rename(home/'unfinished/segments.json', home/'unfinished'/results.PROGRESS)
    return job, home, files(home/'WHOLE')


def files(folder):
    "Bytes and times of all files but those that hold timings."
    return {name: state for name, state in snapshot(folder).items() if state[0] == 'file' and name != 'timing.json'}


def contents(states): return {name: state[1] for name, state in states.items()}


class Killed(BaseException): pass


def fail_at(monkeypatch, n, error):
    "The n-th renaming of a file, by which everything is written, fails; the next ones work. Returns whether it came to that."
    calls, rename, failed = count(), os.replace, []
    def failing(a, b):
        if next(calls) != n: return rename(a, b)
        failed.append(b)
        raise error
    monkeypatch.setattr(os, 'replace', failing)
    return failed


@pytest.mark.parametrize('earlier, error', [(None, OSError(5, 'Input/output error')), ('finished', OSError(28, 'No space left on device')),
                                            ('unfinished', KeyboardInterrupt())], ids=['nothing', 'finished', 'unfinished'])
def test_a_fault_at_every_file(earlier, error, shaken, tmp_path, monkeypatch):
    "The folder is as it was, or holds what `resume` makes whole: the bytes of a run without a fault."
    job, home, whole = shaken
    for n in count():
        out = tmp_path/str(n)
        if earlier is not None:
            shutil.copytree(home/earlier, out)
            (out/'notes.txt').touch()
        before = snapshot(out) if out.exists() else None
        failed = fail_at(monkeypatch, n, error)
        try: job().save(out, overwrite=earlier is not None)
        except BaseException: assert failed
        monkeypatch.undo()
        if not failed: break
        if out.exists() and snapshot(out) != before:
            assert json.loads((out/results.PROGRESS).read_text())['frames'] > 0
            assert not any(p.name.startswith('.') for p in out.iterdir())
            job().save(out, resume=True)
            assert contents(files(out)) == contents(whole) | ({'notes.txt': b''} if earlier else {})
        else: assert out.exists() == (before is not None)
    assert n > 20 and contents(files(out)) == contents(whole) | ({'notes.txt': b''} if earlier else {})


def test_killed_at_every_file(shaken, tmp_path, monkeypatch):
    "Killed, that is, without any tidying: the earlier result is there until the new one is whole, and `resume` makes it whole."
    job, home, whole = shaken
    monkeypatch.setattr(results, '_put_back', lambda *a: None)
    for n in count():
        out = tmp_path/str(n)
        shutil.copytree(home/'finished', out)
        earlier = contents(files(out))
        with monkeypatch.context() as patch:
            failed = fail_at(patch, n, Killed())
            try: job().save(out, overwrite=True)
            except Killed: pass
        if not failed: break
        there = contents(files(out))
        kept = {name: there.get(f'replaced/{name}', there.get(name)) for name in earlier}
        assert kept == earlier or there.items() >= (contents(whole) | {'segments.json': there.get('segments.json')}).items()
        if kept == earlier and not any(p.name in ('replaced', results.PROGRESS) for p in out.iterdir()): continue # not begun
        job().save(out, resume=True)
        assert contents(files(out)) == contents(whole)
    assert n > 20


def test_saving_is_all_or_nothing(shaken, tmp_path, monkeypatch):
    "`Segmentation.save`, with a fault at every file: an earlier result and the user's own files stay."
    first, second = (segment(torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(s)), method='em', K=1) for s in (0, 1))
    for n in count():
        out = first.save(tmp_path/str(n))
        (out/'notes.txt').touch()
        before = snapshot(out)
        failed = fail_at(monkeypatch, n, OSError(5, 'Input/output error'))
        try: second.save(out, overwrite=True)
        except OSError: assert snapshot(out) == before
        monkeypatch.undo()
        if not failed: break
    assert n > 10 and (out/'notes.txt').exists() and not (out/'replaced').exists()
