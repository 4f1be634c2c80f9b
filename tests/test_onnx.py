"The network as ONNX, run by onnxruntime: the numbers of torch, for sizes and numbers of masks that the file was not made with."
import contextlib
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hostile import snapshot
from hostile.weights import TINY, put_tiny

from ltseg.cli import main
from ltseg.files import InputError
from ltseg.inference import segment
from ltseg.network import NetworkConfig, build_network
from ltseg.onnx import OnnxMethod, export_onnx
from ltseg.pretrained import load_network, write_weights
from ltseg.synthetic import demo_scene

WHY = 'pip install "ltseg[onnx]"'
onnx, runtime = (pytest.importorskip(name, reason=f'no {name} here: {WHY}') for name in ('onnx', 'onnxruntime'))
SIZES = [(1, 1, 16, 16), (1, 3, 17, 64), (2, 9, 64, 96), (1, 20, 33, 47), (1, 40, 30, 34), (1, 12, 128, 224), (3, 2, 66, 130), (1, 48, 64, 96), (1, 10, 48, 80)]


def volume(B, T, H, W, seed=0):
    "Smooth flow, and an object that moves otherwise."
    g = torch.Generator().manual_seed(seed)
    flow = F.interpolate(torch.randn(B, 2*T, 4, 5, generator=g), (H, W), mode='bilinear').view(B, 2, T, H, W)*3
    flow[..., H//3:H//2, W//4:W//2] += 4
    return flow


@pytest.fixture(scope='module')
def method(tmp_path_factory): return OnnxMethod(export_onnx(tmp_path_factory.mktemp('onnx')/'ltseg.onnx'))


@pytest.mark.parametrize('size', SIZES, ids=lambda size: '×'.join(map(str, size)))
def test_equal_to_torch(method, size):
    network, flow = load_network(), volume(*size)
    with torch.no_grad():
        for K in (1, 3, 8): torch.testing.assert_close(method(flow, K), network(flow, K), rtol=0, atol=1e-4)


def test_still_and_fast_flow(method):
    "Where there is nothing to fit, and where numbers are large."
    network = load_network()
    for flow in (torch.zeros(1, 2, 4, 32, 48), 1e3*volume(1, 4, 32, 48), torch.ones(1, 2, 4, 33, 48)):
        with torch.no_grad(): torch.testing.assert_close(method(flow, 4), network(flow, 4), rtol=0, atol=1e-4)


@pytest.mark.parametrize('change', [dict(inputs='flow'), dict(queries='gaussian'), dict(channels=(8, 8, 16), heads=2, layers=2)], ids=str)
def test_other_networks(change, tmp_path):
    torch.manual_seed(0)
    config = NetworkConfig(**vars(TINY) | change)
    network, flow = build_network(config).eval(), volume(1, 5, 34, 48)
    write_weights(tmp_path/'w.safetensors', config, network.state_dict())
    method = OnnxMethod(export_onnx(tmp_path/'w.onnx', tmp_path/'w.safetensors'))
    with torch.no_grad(): torch.testing.assert_close(method(flow, 3), network(flow, 3), rtol=0, atol=1e-4)
    with pytest.raises(InputError, match='1 to 3 segments, not 4'): method(flow, 4)


def test_file(method, tmp_path):
    "A valid model, with all sizes free, that says which weights it holds."
    model = onnx.load(export_onnx(tmp_path/'a.onnx', 'default'))
    onnx.checker.check_model(model, full_check=True)
    sizes = lambda value: [d.dim_param for d in value.type.tensor_type.shape.dim]
    assert [sizes(v) for v in model.graph.input] == [['B', '', 'T', 'H', 'W'], []] and sizes(model.graph.output[0]) == ['B', 'K', 'T', 'H', 'W']
    assert method.about['weights_sha256'].startswith('5495dd8916f3') and method.max_segments == 8


def test_the_whole_job_goes_through_the_file(method):
    frames = demo_scene(13, (72, 128)).frames
    a, b = (segment(frames, K=3, method=m, device='cpu') for m in (method, 'network'))
    torch.testing.assert_close(a.probs, b.probs, rtol=0, atol=1e-4)
    assert a.settings['method'] == 'onnx' and a.settings['weights_sha256'] == b.settings['weights_sha256']


def test_program(tmp_path, monkeypatch, capsys):
    "It writes one file; a folder called onnx beside it changes nothing."
    monkeypatch.chdir(tmp_path)
    (tmp_path/'onnx').mkdir()
    put_tiny(tmp_path/'w.safetensors')
    words = ['export', 'onnx', '-o', 'net.onnx', '--weights', 'w.safetensors']
    assert main(words) == 0 and 'onnx → net.onnx' in capsys.readouterr().out
    before = snapshot(tmp_path)
    assert main(words) == 2 and '--overwrite' in capsys.readouterr().err and snapshot(tmp_path) == before
    assert main([*words, '--overwrite']) == 0 and snapshot(tmp_path).keys() == before.keys()


@pytest.mark.parametrize('name', ['onnx', 'onnxruntime'])
def test_without_the_package(name, tmp_path, capsys):
    "It is said what to install, and nothing is left."
    file = export_onnx(tmp_path/'a.onnx', put_tiny_at(tmp_path/'w.safetensors'))
    before = snapshot(tmp_path)
    with patch.dict('sys.modules', {name: None}):
        if name == 'onnx': assert main(['export', 'onnx', '-o', str(tmp_path/'b.onnx')]) == 2 and WHY in capsys.readouterr().err
        with pytest.raises(ImportError, match='ltseg.onnx') if name != 'onnx' else contextlib.nullcontext(): OnnxMethod(file)
    assert snapshot(tmp_path) == before


def put_tiny_at(path):
    put_tiny(path)
    return path


def test_foreign_files(tmp_path):
    (tmp_path/'text.onnx').write_text('no network')
    other = onnx.helper.make_model(onnx.helper.make_graph([onnx.helper.make_node('Identity', ['x'], ['y'])], 'g', *(
        [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1])] for n in 'xy')), ir_version=8, opset_imports=[onnx.helper.make_opsetid('', 18)])
    onnx.save(other, tmp_path/'other.onnx')
    for name, found in {'text.onnx': 'ltseg export onnx', 'other.onnx': 'another network', 'none.onnx': 'No such file', '': 'directory'}.items():
        with pytest.raises(InputError, match=found): OnnxMethod(tmp_path/name)
