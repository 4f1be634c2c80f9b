"`ltseg live`: what is no camera and no pipe, names that are taken, ports that are, a stream that is none."
import os
import socket
import threading

from .made import clip, put_video
from .table import ltseg, row


def pipe(d, data):
    "A named pipe through which some bytes come."
    os.mkfifo(d/'pipe')
    def feed():
        try: (d/'pipe').write_bytes(data)
        except BrokenPipeError: pass
    threading.Thread(target=feed, daemon=True).start()
    return d/'pipe'


@row('Live', 'a file', 'a.mp4', 'ltseg segment takes files')
def _(d): ltseg('live', put_video(d/'a.mp4', clip(), 'mpeg4', 'yuv420p'))

@row('Live', 'a camera that is not there', '/dev/video99', 'a camera')
def _(d): ltseg('live', '/dev/video99')

@row('Live', 'a folder', 'a camera')
def _(d): ltseg('live', d)

@row('Live', 'a pipe that ends at once', 'pipe', 'a complete video')
def _(d): ltseg('live', pipe(d, b''), '-o', d/'live.mp4')

@row('Live', 'a pipe of noise', 'pipe', 'a complete video')
def _(d): ltseg('live', pipe(d, bytes(range(256))*64), '-o', d/'live.mp4')

@row('Live', 'a file of that name', 'live.mp4', '--overwrite')
def _(d):
    (d/'live.mp4').write_text('mine')
    ltseg('live', '-', '-o', d/'live.mp4')

@row('Live', 'a pipe of noise, with --overwrite: the file stays', 'pipe', 'a complete video')
def _(d):
    (d/'live.mp4').write_text('mine')
    ltseg('live', pipe(d, b'noise'*1000), '-o', d/'live.mp4', '--overwrite')

@row('Live', 'another ending', '.mp4', '.avi')
def _(d): ltseg('live', '-', '-o', d/'live.avi')

@row('Live', 'a port with a file', '--port', '--out')
def _(d): ltseg('live', '-', '-o', d/'live.mp4', '--port', 8001)

@row('Live', '--overwrite without a file', '--overwrite')
def _(d): ltseg('live', '-', '--overwrite')

@row('Live', 'windows that cannot overlap', 'overlap')
def _(d): ltseg('live', '-', '-o', d/'live.mp4', '--window', 4, '--overlap', 3)

@row('Live', 'a port that is taken', 'port', 'another number')
def _(d):
    from ltseg.live import Shown, serve
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 28_313))
        taken.listen()
        yield
        with serve(Shown(), 28_313): pass
