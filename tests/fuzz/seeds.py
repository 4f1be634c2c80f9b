"Writes the first corpus, a few small files of each format, into the folder given."
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from ltseg.flow import write_flow, write_volume

TABLES = {'plain': 'Image,Sequence,Sequence_Index\nclip/0.jpg,clip,0\nclip/1.jpg,clip,1\n',
          'all': '\ufeffFlow,Image,GtMask,Sequence,Sequence_Index,Note\nf/0.flo,"a,b.jpg",,NA,007,x\n\n,,m.png,00012,1,"y"""\n',
          'hostile': 'Image,Sequence,Sequence_Index\r\n../../etc/passwd,a,0\r\n/a,../b,1\r\n"a\n\0",c,-1\r\n'}


def main(folder: Path):
    generator = torch.Generator().manual_seed(0)
    field, volume = torch.randn(2, 2, 3, generator=generator), torch.randn(2, 2, 2, 3, generator=generator)
    for name in ('flo', 'kitti', 'npy', 'npz', 'csv'): (folder/name).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as d:
        for ending, name in {'.flo': 'flo', '.png': 'kitti', '.npy': 'npy', '.npz': 'npz'}.items():
            write_flow(Path(d)/f'a{ending}', field)
            (folder/name/f'field{ending}').write_bytes((Path(d)/f'a{ending}').read_bytes())
        for ending in ('npy', 'npz'):
            write_volume(Path(d)/f'v.{ending}', volume)
            (folder/ending/f'volume.{ending}').write_bytes((Path(d)/f'v.{ending}').read_bytes())
    np.savez(folder/'npz'/'stored.npz', flow=field.numpy())
    np.save(folder/'npy'/'fortran.npy', np.asfortranarray(volume.permute(1, 2, 3, 0).numpy().astype('>f8')))
    for name, text in TABLES.items(): (folder/'csv'/f'{name}.csv').write_text(text, 'utf-8')


if __name__ == '__main__': main(Path(sys.argv[1]))
