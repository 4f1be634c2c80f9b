"""A seed gives the same batches as it did when tables and volumes had a data module each.

`golden/batches.json` was written by the commit f55f02e, with `PYTHONPATH=COMMIT python tests/test_batches.py --write`. It holds no bytes of
batches, which differ a little between processors, but which samples came, and mean and spread of each."""
import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

GOLDEN = Path(__file__).parent/'golden/batches.json'
SIZE = H, W = 24, 40
CHANGES = dict(augmentations=['flip', 'crop', 'globalmotion.Affine.light'], perturbations=['PerturbInputFlowNoise', 'PerturbInputFlowNull'])


def volume(T, seed): # -> flow (2,T,H,W), labels (T,H,W): two halves that move
    rng = np.random.default_rng(seed)
    labels = np.zeros((T, *SIZE), np.uint8)
    for t in range(T): labels[t, :, 5 + 2*t:] = 1
    speeds = rng.normal(0, 3, (2, 2, T))
    ramp = np.linspace(-1, 1, W)*rng.normal(0, 1, (2, T, H, 1))
    return (np.where(labels, *speeds[..., None, None]) + ramp).astype(np.float16), labels


def put_tables(base: Path):
    "Two sequences, as flow files and annotations, in all three parts."
    import torch
    from PIL import Image

    from ltseg.flow import write_flow
    rows = []
    for name, T in (('a', 9), ('b', 6)):
        (base/name).mkdir(parents=True)
        for t, (flow, labels) in enumerate(zip(volume(T, T)[0].swapaxes(0, 1), volume(T, T)[1])):
            write_flow(base/f'{name}/{t}.flo', torch.from_numpy(flow.astype(np.float32)))
            Image.fromarray(labels*np.uint8(255)).save(base/f'{name}/{t}.png')
            rows.append(f'{name}/{t}.flo,,{name}/{t}.png,{name},{t}')
    for part in ('train', 'val', 'test'):
        (base/f'toy_{part}.csv').write_text('\n'.join(['Flow,Image,GtMask,Sequence,Sequence_Index', *rows]) + '\n')


def trainer(epoch, world, rank): # as much of one as a data module asks
    import torch
    return SimpleNamespace(current_epoch=epoch, world_size=world, global_rank=rank,
                           strategy=SimpleNamespace(root_device=torch.device('cpu')))


def told(batch) -> list: # of each sample: row, labels, and mean and spread of flow and input
    return [[int(row), int((labels == 1).sum()), *(float(f(x)) for x in (flow, given) for f in (np.mean, np.std))]
            for row, labels, flow, given in zip(batch.row, *(x.numpy() for x in (batch.labels, batch.flow, batch.input)))]


def seen(data) -> dict: # of a data module: the batches of two epochs, alone and as one of two processes, and of validation
    found = {'val': [told(b) for b in data.val_dataloader()], 'fresh': [told(b) for b in data.train_dataloader()]}
    for epoch, world, rank in ((0, 1, 0), (1, 1, 0), (1, 2, 0), (1, 2, 1)):
        data.trainer = trainer(epoch, world, rank)
        found[f'epoch {epoch}, process {rank} of {world}'] = [told(b) for b in data.train_dataloader()]
    return found


def tables(top: Path) -> dict:
    from ltseg.data import SplitData, sample_requests
    put_tables(top/'base')
    data = SplitData('toy', top/'base', sample_requests(['Flow', 'Flow+1']), (20, 32), 2, cache='memory', **CHANGES)
    data.setup('fit')
    data.setup('test')
    return seen(data) | {'test': [told(b) for b in data.test_dataloader()]}


def volumes(top: Path) -> dict:
    from ltseg.data import VolumeData, Volumes
    flows, labels = zip(*(volume(5, seed) for seed in range(6)))
    shard, film = Volumes(flows, [(n, 0) for n in range(6)], 5, labels), Volumes(flows, [(n, 2) for n in range(3)], 3)
    whole = Volumes(flows, [(n, 2) for n in range(6)], 3, labels)
    return seen(VolumeData([whole, film], [whole, film], [1., 2.], 2, 5)) | {
        'plain': seen(VolumeData([shard], [shard], None, 3, 7, (), seed=5))}


MODULES = dict(tables=tables, volumes=volumes)


def flat(found, path=()):
    if isinstance(found, dict): return [x for k, v in sorted(found.items()) for x in flat(v, (*path, k))]
    return [(path, found)]


@pytest.mark.parametrize('name', MODULES)
def test_batches(name, tmp_path):
    "The same samples in the same batches, changed in the same way, in every epoch and process."
    found, wanted = flat(MODULES[name](tmp_path)), flat(json.loads(GOLDEN.read_text())[name])
    assert [path for path, _ in found] == [path for path, _ in wanted]
    for (path, batches), (_, known) in zip(found, wanted):
        assert [len(b) for b in batches] == [len(b) for b in known], path
        np.testing.assert_allclose(sum(batches, []), sum(known, []), rtol=2e-3, atol=2e-3, err_msg=str(path))


if __name__ == '__main__' and '--write' in sys.argv:
    found = {}
    for name, made in MODULES.items():
        with tempfile.TemporaryDirectory() as folder: found[name] = made(Path(folder))
    rounded = json.loads(json.dumps(found), parse_float=lambda x: round(float(x), 5))
    GOLDEN.write_text(json.dumps(rounded, sort_keys=True).replace('"', '\n"', 1) + '\n')
