"The network as a file for other programs: `ltseg export onnx`."
from .exports import result
from .table import ltseg, row
from .weights import put_tiny


@row('ONNX', 'the name of a file that is there', 'net.onnx', '--overwrite')
def _(d):
    (d/'net.onnx').write_text('mine')
    ltseg('export', 'onnx', '-o', d/'net.onnx')

@row('ONNX', 'a folder, with --overwrite', 'net.onnx', 'a folder')
def _(d):
    (d/'net.onnx').mkdir()
    ltseg('export', 'onnx', '-o', d/'net.onnx', '--overwrite')

@row('ONNX', 'another ending', '.onnx', '.pt')
def _(d): ltseg('export', 'onnx', '-o', d/'net.pt')

@row('ONNX', 'a result as well', 'OUT', 'no result')
def _(d): ltseg('export', 'onnx', result(d), '-o', d/'net.onnx')

@row('ONNX', 'an option of other formats', '--dilate')
def _(d): ltseg('export', 'onnx', '-o', d/'net.onnx', '--dilate', 3)

@row('ONNX', 'weights for another format', '--weights', 'coco')
def _(d): ltseg('export', 'coco', result(d), '-o', d/'NEW', '--weights', 'head')

@row('ONNX', 'weights with a head', 'a head')
def _(d): ltseg('export', 'onnx', '-o', d/'net.onnx', '--weights', 'head')

@row('ONNX', 'weights that are not there', 'one of default')
def _(d): ltseg('export', 'onnx', '-o', d/'net.onnx', '--weights', 'defualt')

@row('ONNX', 'weights that are truncated', 'w.safetensors')
def _(d):
    put_tiny(d/'w.safetensors')
    (d/'w.safetensors').write_bytes((d/'w.safetensors').read_bytes()[:1000])
    ltseg('export', 'onnx', '-o', d/'net.onnx', '--weights', d/'w.safetensors')
