"Several processes do what one does: the same losses, the same samples once each, the same files."
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from processes import program, run_file, run_two  # noqa: F401: a fixture

from ltseg.cli import main
from ltseg.splits import fill_flow, split_folder
from ltseg.synthetic import demo_scene
from ltseg.train import read_metrics

TWO = ['--devices', 2, '--strategy', 'ddp']


def alone(*words):
    "The program in this process, with one thread, as its processes have."
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    try: status = main([str(w) for w in words])
    finally: torch.set_num_threads(n)
    assert status == 0


@pytest.fixture
def script(program, tmp_path):
    "Runs a file of Python in a process of its own; Lightning starts further ones by its name, or as `run` says."
    def start(file, *words, run=run_two):
        said = tmp_path/'said'
        process = program(file, *words, run=run, said=said)
        process.join()
        assert process.exitcode == 0, said.read_text('utf8')
    return start


@pytest.fixture
def ltseg(script): return lambda *words, **how: script(Path(sys.executable).parent/'ltseg', *words, **how)


@pytest.fixture(scope='module')
def base(tmp_path_factory):
    "Four clips with tables and flow: one to train with, three to predict."
    top = tmp_path_factory.mktemp('base')
    for seed, name in enumerate('abcd'):
        scene = demo_scene(9 if name == 'a' else 5, (48, 80), seed)
        for kind, pictures in dict(JPEGImages=scene.frames, Annotations=(scene.labels > 0)*np.uint8(255)).items():
            (top/kind/'480p'/name).mkdir(parents=True)
            for t, picture in enumerate(pictures): Image.fromarray(picture).save(top/kind/'480p'/name/f'{t:05d}.png')
    split_folder(top, 'SPLIT', val=['b', 'c', 'd'], progress=False)
    fill_flow('SPLIT', top, 'dis-fast', progress=False)
    return top


def losses(out, column='train/loss'): return read_metrics(out)[column].dropna().to_numpy()


def same_run(one, two, steps, weights):
    "The same losses at every step; weights differ by less than `weights` on average (AdamW enlarges rounding where gradients are tiny)."
    assert len(losses(one)) == steps
    np.testing.assert_allclose(losses(two), losses(one), rtol=1e-5)
    a, b = (torch.load(out/'last.ckpt', weights_only=True) for out in (one, two))
    assert a['global_step'] == b['global_step'] == steps
    for name, weight in a['state_dict'].items(): assert (b['state_dict'][name] - weight).abs().mean() < weights, name


def test_train_on_a_table(base, tmp_path, ltseg):
    "Without truth, augmented and perturbed; the last of nine samples makes no whole step and is left out."
    options = ['train', '--data-file', 'SPLIT', '--base-dir', base, '--length', 3, '--boundaries', 'Periodic', '--size', '32x48', '--network', 'lean', '--augment', 'flip',
               'globalmotion.Affine.light', '--perturb', 'PerturbInputFlowNoise', '--max-epochs', 2, '--log-every-n-steps', 1, '--accelerator', 'cpu']
    one, two = tmp_path/'one', tmp_path/'two'
    alone(*options, '-o', one, '--batch-size', 2)
    ltseg(*options, '-o', two, '--batch-size', 1, *TWO)
    same_run(one, two, steps=8, weights=2e-6)


def test_train_on_rendered_scenes(tmp_path, ltseg):
    "With truth; the steps are those that were asked for, and the loss of validation is that of all processes."
    options = ['train', '--size', '32x48', '--length', 3, '--steps', 4, '--epoch-steps', 2, '--val', 2, '--log-every-n-steps', 1, '--accelerator', 'cpu']
    one, two = tmp_path/'one', tmp_path/'two'
    alone(*options, '-o', one, '--batch-size', 2, '--synthetic', 10)
    ltseg(*options, '-o', two, '--batch-size', 1, '--shards', one/'shard', *TWO)
    same_run(one, two, steps=4, weights=5e-4)
    np.testing.assert_allclose(losses(two, 'val/loss'), losses(one, 'val/loss'), rtol=1e-5)


EPOCHS = '''
import sys
import pytorch_lightning as pl, torch
from ltseg.data import SplitData, sample_requests

class Seen(pl.LightningModule): # keeps what it is given
    def __init__(self):
        super().__init__()
        self.seen, self.weight = [], torch.nn.Parameter(torch.zeros(()))
    def training_step(self, batch, n):
        self.seen += [(self.current_epoch, int(r), x.clone()) for r, x in zip(batch.row, batch.input)]
        return (self.weight*batch.input).mean()
    def configure_optimizers(self): return torch.optim.SGD(self.parameters(), .1)

base, out, devices, batch = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5])
data = SplitData('SPLIT', base, sample_requests(['Flow']), (32, 48), batch,
                 augmentations=['flip', 'crop', 'globalmotion.Affine.light'], perturbations=['PerturbInputFlowNoise', 'PerturbInputFlowNull'])
trainer = pl.Trainer(max_epochs=2, devices=devices, accelerator='cpu', strategy='ddp' if devices > 1 else 'auto', logger=False,
                     enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, reload_dataloaders_every_n_epochs=1)
model = Seen()
trainer.fit(model, data)
torch.save(model.seen, f'{out}.{trainer.global_rank}')
'''


def test_samples_once(base, tmp_path, script):
    "In an epoch, every sample comes once to one of two processes, changed as one process changes it."
    (tmp_path/'epochs.py').write_text(EPOCHS)
    for devices, batch in ((1, 2), (2, 1)): script(tmp_path/'epochs.py', base, tmp_path/f'seen{devices}', devices, batch)
    alone, *parts = (torch.load(tmp_path/name) for name in ('seen1.0', 'seen2.0', 'seen2.1'))
    keys = lambda seen: [(epoch, row) for epoch, row, _ in seen]
    assert len(set(keys(alone))) == len(alone) == 2*8
    assert sorted(keys(parts[0] + parts[1])) == sorted(keys(alone))
    assert all(len(part) == 8 for part in parts)
    changed = {(epoch, row): volume for epoch, row, volume in parts[0] + parts[1]}
    for epoch, row, volume in alone: assert torch.equal(changed[epoch, row], volume)


def predicted(out):
    "All files but predictions.json, and what that says but for the time it took."
    story = json.loads((out/'predictions.json').read_text())
    for record in story['sequences']: del record['seconds']
    return {p.relative_to(out): p.read_bytes() for p in out.rglob('*') if p.is_file() and p.name != 'predictions.json'}, story


def test_predict(base, tmp_path, capsys, ltseg):
    "Two processes write every sequence once, the same bytes as one; `ltseg evaluate` reads them; they are not overwritten by accident."
    options = ['--data-file', 'SPLIT', '--base-dir', base]
    method = ['predict', *options, '-K', 3, '--img-size', 32, 48, '--device', 'cpu', '--save-vis']
    one, two = tmp_path/'one', tmp_path/'two'
    two.mkdir()  # a folder that is there may be used
    alone(*method, '-o', one)
    ltseg(*method, '-o', two, *TWO, run=run_file) # the second as users get it
    files, story = predicted(two)
    assert (files, story) == predicted(one)
    assert [r['name'] for r in story['sequences']] == ['b', 'c', 'd'] and sorted(p.name for p in two.iterdir()) == ['labels', 'pictures', 'predictions.json']
    assert sum(p.parts[0] == 'labels' for p in files) == 3*4
    alone('evaluate', *options, '--predictions', two, '-o', tmp_path/'scores')
    assert main([str(w) for w in [*method, '-o', two, *TWO]]) == 2 and '--overwrite' in capsys.readouterr().err
    assert predicted(two) == (files, story)
