"From a folder of videos to scores through the command line: split, flow, predict, evaluate, export; hostile input."
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hostile import snapshot
from PIL import Image

from ltseg.cli import main
from ltseg.network import NetworkConfig, build_network
from ltseg.pretrained import write_weights
from ltseg.synthetic import demo_scene

N, SIZE = 7, (64, 96)
CLIPS = {'kites': 7, 'balls': 3}  # sequence -> seed of its scene


def run(*words):
    return main([str(w) for w in words])


def status(*words):
    "The exit status, also where the parser leaves."
    try: return run(*words)
    except SystemExit as e: return e.code


def put_clip(base: Path, name: str, seed: int):
    scene = demo_scene(N, SIZE, seed)
    for kind, pictures in dict(JPEGImages=scene.frames, Annotations=(scene.labels > 0).astype(np.uint8)*255).items():
        folder = base/kind/'480p'/name
        folder.mkdir(parents=True)
        for t, picture in enumerate(pictures): Image.fromarray(picture).save(folder/f'{t:05d}.png')


def put_run(folder: Path, base: Path):
    "What a training leaves, but untrained."
    folder.mkdir()
    tiny = NetworkConfig(channels=(8, 8, 16, 16), layers=1, width=32, n_queries=3)
    torch.manual_seed(0)
    write_weights(folder/'weights.safetensors', tiny, build_network(tiny).state_dict())
    (folder/'settings.json').write_text(json.dumps(dict(settings=dict(base_dir=str(base)))))


@pytest.fixture(scope='module')
def job(tmp_path_factory):
    "A data set with tables and flow, the folder of a training, and predictions of it."
    top = tmp_path_factory.mktemp('job')
    base = top/'data'
    for name, seed in CLIPS.items(): put_clip(base, name, seed)
    put_run(top/'run', base)
    assert run('split', base, '--name', 'toy') == 0
    assert run('flow', '--data_file', 'toy', '--base_dir', base, '--flow', 'dis-fast') == 0
    assert run('predict', '--data_file', 'toy', '--base_dir', base, '--model_dir', top/'run', '-cs', '-1', '--save_vis') == 0
    return top


@pytest.fixture
def copy(job, tmp_path):
    "The same, to be damaged."
    shutil.copytree(job, tmp_path/'job')
    return tmp_path/'job'


def test_tables_and_flow(job):
    table = pd.read_csv(job/'data/DataSplit/toy_val.csv')
    assert len(table) == 2*N and table.Flow.isna().sum() == 2
    assert all((job/'data'/f).is_file() for f in table.Flow.dropna())


def test_predictions(job):
    out = job/'run/predictions/toy_val'
    story = json.loads((out/'predictions.json').read_text())
    assert story['settings']['K'] == 3 and len(story['settings']['weights_sha256']) == 64
    assert [s['estimator'] for s in story['flow']] == ['dis-fast']
    for s in story['sequences']:
        assert s['last'] == f'{N-1:05d}' and len(s['frames']) == N-1
        for f in s['frames']: assert Image.open(out/'labels'/s['name']/f'{f}.png').size == SIZE[::-1]
        assert (out/'pictures'/s['name']/'contact_sheet.png').is_file()
        assert (out/'pictures'/s['name']/'overlay.mp4').is_file()


def test_cuts_and_memory(job, tmp_path):
    "One cut at a time gives the same labels as all together."
    common = ['predict', '--data_file', 'toy', '--model_dir', job/'run', '-cs', 3, '--img_size', 32, 48]
    assert run(*common, '-o', tmp_path/'a') == 0 and run(*common, '-o', tmp_path/'b', '--low_memory') == 0
    for file in (tmp_path/'a/labels').rglob('*.png'):
        other = tmp_path/'b'/file.relative_to(tmp_path/'a')
        assert np.mean(np.array(Image.open(file)) == np.array(Image.open(other))) > .999
    assert json.loads((tmp_path/'a/predictions.json').read_text())['sequences'][0]['working_size'] == [32, 48]


@pytest.mark.parametrize('method', [['--method', 'em', '-K', 2], ['--weights', 'default', '--img_size', 64, 96]])
def test_other_methods(method, job, tmp_path):
    assert run('predict', '--data_file', 'toy', '--base_dir', job/'data', *method, '-o', tmp_path/'out') == 0
    assert len(list((tmp_path/'out/labels').rglob('*.png'))) == 2*(N-1)
    assert status('predict', '--data_file', 'toy', '--base_dir', job/'data', *method) == 2  # where to?


def test_evaluate_as_in_the_notes(job, capsys):
    "The published line, without --base_dir: the training's is taken."
    out = job/'run/evaluation/toy_val_davis16'
    line = ['evaluate', '--data_file', 'toy', '--model_dir', job/'run', '-cs', '-1', '-cst', '-1',
            '--select_mask', 'optimax_all', '--save_vis']
    assert run(*line) == 0
    assert 'optimax_all' in capsys.readouterr().out
    assert run(*line) == 2 and run(*line, '--overwrite') == 0  # nothing old by accident
    table = pd.read_csv(out/'scores.csv', index_col=0)
    assert {*CLIPS, 'mean over sequences', 'mean over frames'} <= set(table.index)
    assert table.loc['mean over sequences', 'J mean with'] >= table.loc['mean over sequences', 'J mean without']
    settings = json.loads((out/'settings.json').read_text())
    assert settings['selection'] == {'without': 'exceptbiggest', 'with': 'optimax_all'}
    text = (out/'scores.md').read_text()
    for word in (settings['predictions']['weights_sha256'], 'dis-fast', 'optimax_all', 'exceptbiggest', 'torch'): assert word in text
    assert (out/'scores.png').is_file() and (out/'pictures/kites.png').is_file()


@pytest.mark.parametrize('benchmark', ['davis16', 'davis17', 'segtrackv2', 'fbms'])
def test_predictions_score_as_made_anew(benchmark, job, tmp_path):
    common = ['evaluate', '--data_file', 'toy', '--benchmark', benchmark]
    done = job/'run/predictions/toy_val'
    assert run(*common, '--predictions', done, '-o', tmp_path/'old') == 0  # base_dir: theirs
    assert run(*common, '--model_dir', job/'run', '-o', tmp_path/'new') == 0
    a, b = (pd.read_csv(tmp_path/n/'scores.csv', index_col=0) for n in ('old', 'new'))
    pd.testing.assert_frame_equal(a, b)


def test_the_annotation_itself_scores_one(copy, tmp_path):
    done = copy/'run/predictions/toy_val'
    for file in (done/'labels').rglob('*.png'):
        truth = np.array(Image.open(copy/'data/Annotations/480p'/file.parent.name/file.name))
        Image.fromarray((truth > 0).astype(np.uint8)).save(file)
    assert run('evaluate', '--data_file', 'toy', '--base_dir', copy/'data', '--predictions', done, '-o', tmp_path/'out') == 0
    table = pd.read_csv(tmp_path/'out/scores.csv', index_col=0)
    assert (table.loc['mean over frames', ['J mean without', 'J mean with', 'F mean without', 'F mean with']] == 1).all()


def test_export(job, tmp_path):
    done = job/'run/predictions/toy_val'
    assert run('export', '--format', 'davis17', done, '-o', tmp_path/'out') == 0
    for name in CLIPS:
        files = sorted((tmp_path/'out'/name).iterdir())
        assert [f.stem for f in files] == [f'{t:05d}' for t in range(N)]
        first, *_, before, last = (np.array(Image.open(f)) for f in files)
        assert (first == np.array(Image.open(done/'labels'/name/'00000.png')) + 1).all() and (before == last).all()
    assert run('export', '--format', 'davis17', done, '-o', tmp_path/'out') == 2


@pytest.mark.parametrize('n', range(6))
def test_tables_or_none(n, tmp_path, monkeypatch):
    "A disk that is full at the n-th file of `split` or `flow` leaves the tables and masks of before; what was estimated is kept."
    put_clip(tmp_path/'data', 'kites', 7)
    assert run('split', tmp_path/'data', '--name', 'toy') == 0
    before, own, left = snapshot(tmp_path), pd.DataFrame.to_csv, [n % 3]

    def to_csv(self, *args, **kwargs):
        left[0] -= 1
        if left[0] < 0: raise OSError(28, 'No space left on device')
        return own(self, *args, **kwargs)
    monkeypatch.setattr(pd.DataFrame, 'to_csv', to_csv)
    words = ['split', tmp_path/'data', '--name', 'toy', '--overwrite'] if n < 3 else ['flow', '--data_file', 'toy', '--base_dir', tmp_path/'data', '--flow', 'dis-fast']
    assert run(*words) == 2
    after = {name: state for name, state in snapshot(tmp_path).items() if not name.startswith('data/Flow')}
    assert after == before


def edit(file: Path, old: str, new: str):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


HOSTILE = {  # name -> (what is done to the job, words of the command, words of the message)
    'missing image': (lambda d: (d/'data/JPEGImages/480p/kites/00002.png').unlink(), ['predict'], ['kites/00002.png']),
    'missing flow': (lambda d: (d/'data/Flow/dis-fast/kites/00002.png').unlink(), ['predict'], ['kites/00002.png']),
    'missing mask': (lambda d: (d/'data/Annotations/480p/kites/00002.png').unlink(), ['evaluate'], ['kites/00002.png']),
    'blank mask': (lambda d: edit(d/'data/DataSplit/toy_val.csv', 'Annotations/480p/kites/00002.png', ''), ['evaluate'],
                   ['kites', 'annotation', '00002']),
    'blank flow': (lambda d: edit(d/'data/DataSplit/toy_val.csv', 'Flow/dis-fast/kites/00002.png', ''), ['predict'], ['kites', '00002']),
    'path leaves': (lambda d: edit(d/'data/DataSplit/toy_val.csv', 'JPEGImages/480p/kites/00002.png', '../../secret.png'),
                    ['predict'], ['../../secret.png']),
    'sequence leaves': (lambda d: edit(d/'data/DataSplit/toy_val.csv', ',kites,', ',../kites,'), ['predict'], ['../kites']),
    'bad flow': (lambda d: (d/'data/Flow/dis-fast/kites/00002.png').write_bytes(b'PNG'), ['predict'], ['00002.png', 'KITTI']),
    'no weights': (lambda d: (d/'run/weights.safetensors').unlink(), ['predict'], ['weights.safetensors', 'best.ckpt']),
    'other weights': (lambda d: (d/'run/weights.safetensors').write_bytes(b'no'), ['predict'], ['weights.safetensors']),
    'no table': (lambda d: (d/'data/DataSplit/toy_val.csv').unlink(), ['evaluate'], ['toy_val.csv']),
    'missing label': (lambda d: (d/'run/predictions/toy_val/labels/kites/00003.png').unlink(),
                      ['evaluate', '--predictions', 'DONE'], ['kites/00003.png']),
    'frame not predicted': (lambda d: edit(d/'run/predictions/toy_val/predictions.json', '"00003",', ''),
                            ['evaluate', '--predictions', 'DONE'], ['00003']),
    'idle option': (lambda d: None, ['evaluate', '--predictions', 'DONE', '-cs', '4'], ['--predictions', '--cut-size']),
    'too many segments': (lambda d: None, ['predict', '-K', '9'], ['1 to 3']),
    'two methods': (lambda d: None, ['predict', '--weights', 'default'], ['--model-dir', '--weights']),
}


@pytest.mark.parametrize('case', HOSTILE)
def test_hostile_input(case, copy, capsys):
    damage, (word, *more), words = HOSTILE[case]
    damage(copy)
    capsys.readouterr()
    more = [str(copy/'run/predictions/toy_val') if m == 'DONE' else m for m in more]
    line = [word, '--data_file', 'toy', '--base_dir', copy/'data', '--model_dir', copy/'run', *more, '-o', copy/'OUT']
    assert run(*line) == 2
    message = capsys.readouterr().err.split('ltseg: ')[-1]
    for w in words: assert w in message, message
    assert 'Traceback' not in message and not (copy/'OUT').exists()


@pytest.mark.parametrize('line, near', [
    ('predict --data_fil toy', '--data-file'), ('predict --data-file toy --model_di x', '--model-dir'),
    ('predict --data_file toy --low_mem', '--low-memory'), ('evaluate --data_file toy --select_mask optimax_al', 'optimax_all'),
    ('evaluate --data_file toy --benchmark davis166', 'davis16'), ('export x -o y --format davis71', 'davis17'),
    ('split x --over_write', '--overwrite'), ('flow --data_file toy --form png', '--format'), ('exprot x', 'export'),
    ('predict --data_file toy --part valid', 'val'),
])
def test_misspelt(line, near, capsys):
    assert status(*line.split()) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert f'did you mean {near}' in said[0] and len(said) == 2, said # not lost behind the usage of the command


def test_dashes_and_underscores_are_one(job, tmp_path):
    for n, style in enumerate((str, lambda w: w.replace('_', '-'))):
        words = [style(w) for w in ('--data_file=toy', '--model_dir')] + [job/'run', style('--img_size'), 32, 48]
        assert run('predict', *words, '-o', tmp_path/str(n)) == 0
