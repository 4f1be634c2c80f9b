"Archives: what works is done once, what fails is named, and machines share the work."
import csv
import os

import pytest
from PIL import Image

from ltseg.cli import main
from ltseg.synthetic import demo_scene
from ltseg.video import write_video


@pytest.fixture(scope='module')
def films(tmp_path_factory):
    "Three videos, a folder of frames, a broken video, and a file that is none."
    folder = tmp_path_factory.mktemp('films')
    frames = demo_scene(4, (48, 80)).frames
    for n in range(3): write_video(folder/f'film {n}.mp4', frames[n % 2:], 12)
    (folder/'pictures').mkdir()
    for n, f in enumerate(frames): Image.fromarray(f).save(folder/'pictures'/f'{n}.png')
    (folder/'broken.mp4').write_bytes((folder/'film 0.mp4').read_bytes()[:999])
    (folder/'notes.md').write_text('These are notes.')
    return folder


def run(*words):
    return main([str(w) for w in words])


def manifest(file):
    with open(file, newline='') as f: return list(csv.DictReader(f))


def test_folder(films, tmp_path, capsys):
    "All but the broken one are done; a second run does that one again and nothing else."
    out = tmp_path/'OUT'
    assert run('segment', films, '-o', out) == 1
    assert 'broken.mp4' in capsys.readouterr().out
    rows = {os.path.basename(r['video']): r for r in manifest(out/'manifest.csv')}
    assert {n: r['state'] for n, r in rows.items()} == {'film 0.mp4': 'done', 'film 1.mp4': 'done', 'film 2.mp4': 'done',
                                                        'pictures': 'done', 'broken.mp4': 'failed'}
    assert [rows[n]['frames'] for n in ('film 0.mp4', 'film 1.mp4')] == ['3', '2'] and rows['broken.mp4']['error']
    assert not (out/'broken').exists() and (out/'film 0/segments.json').exists()
    stamp = (out/'film 0/segments.json').stat().st_mtime_ns
    assert run('segment', films, '-o', out) == 1 and (out/'film 0/segments.json').stat().st_mtime_ns == stamp


def test_list_and_shards(films, tmp_path, monkeypatch):
    "A list, shared by two tasks of a job array; together they do everything once."
    listed = tmp_path/'list.txt'
    listed.write_text(''.join(f'{films/f"film {n}.mp4"}\n' for n in range(3)))
    assert run('segment', listed, '-o', tmp_path/'OUT', '--shard', '1/2') == 0
    for name, value in dict(ID='8', MIN='7', COUNT='2').items(): monkeypatch.setenv(f'SLURM_ARRAY_TASK_{name}', value)
    assert run('segment', listed, '-o', tmp_path/'OUT') == 0
    done = [os.path.basename(r['video']) for i in (1, 2) for r in manifest(tmp_path/f'OUT/manifest-{i}-of-2.csv')]
    assert sorted(done) == [f'film {n}.mp4' for n in range(3)]


@pytest.mark.parametrize('words', [['--shard', '3/2'], ['--method', 'em', '--weights', 'x'], ['--weights', 'defualt'], ['--window', '3', '--overlap', '2'], ['-K', '99']])
def test_options_first(words, films, tmp_path):
    "What is wrong with the options is said once, before the first video."
    assert run('segment', films, '-o', tmp_path/'OUT', *words) == 2 and not (tmp_path/'OUT').exists()


def test_other_folders_are_left_alone(films, tmp_path):
    (tmp_path/'photos').mkdir()
    (tmp_path/'photos/1.jpg').touch()
    assert run('segment', films, '-o', tmp_path/'photos') == 2
    assert run('segment', films/'film 0.mp4', '-o', tmp_path/'OUT', '--shard', '1/2') == 2
