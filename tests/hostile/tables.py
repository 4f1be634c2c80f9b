"The CSV tables of data sets."
import os

from ltseg.splits import read_split

from .table import Watch, row


HEADING = 'Image,Sequence,Sequence_Index\n'

def table(d, text, columns=('Image',)):
    (d/'base'/'clip').mkdir(parents=True, exist_ok=True)
    (d/'secret.png').touch()
    (d/'base'/'x_train.csv').write_bytes(text if isinstance(text, bytes) else text.encode())
    Watch.now.mark() # the input is there
    return read_split('x', d/'base', columns=columns)

for what, path in {'`../`': 'clip/../../secret.png', 'an absolute path': '/etc/passwd'}.items():
    @row('Tables', f'a path that leaves the base folder by {what}', 'x_train.csv', path)
    def _(d, path=path): table(d, f'{HEADING}{path},clip,0\n')

@row('Tables', 'a path that leaves the base folder by a symbolic link', 'leads outside')
def _(d):
    (d/'base'/'clip').mkdir(parents=True)
    (d/'base'/'clip'/'0.png').symlink_to(d/'secret.png')
    table(d, f'{HEADING}clip/0.png,clip,0\n')

@row('Tables', 'a folder on the way that is a link to the outside', 'leads outside')
def _(d):
    (d/'base').mkdir()
    (d/'base'/'away').symlink_to(d)
    table(d, f'{HEADING}away/secret.png,clip,0\n')

@row('Tables', 'a link that stays inside', works=True)
def _(d):
    (d/'base'/'clip').mkdir(parents=True)
    (d/'base'/'clip'/'0.png').touch()
    (d/'base'/'1.png').symlink_to('clip/0.png')
    assert table(d, f'{HEADING}1.png,clip,0\n').path(0, 'Image') == d/'base'/'1.png'
    return 'read'

@row('Tables', 'a sequence called `../clip`, which would be a folder of results', 'Sequence')
def _(d): table(d, f'{HEADING},../clip,0\n')

@row('Tables', 'names with spaces, quotes, commas and `ü`', works=True)
def _(d):
    (d/'base'/'clip').mkdir(parents=True)
    name = 'clip/a b, "grün".png'
    (d/'base'/name).touch()
    quoted = '"' + name.replace('"', '""') + '"'
    assert table(d, f'{HEADING}{quoted},a b ü,0\n').path(0, 'Image') == d/'base'/name
    return 'read'

@row('Tables', 'two columns of one name that means nothing', works=True)
def _(d):
    assert len(table(d, 'Note,Note,' + HEADING + 'x,y,,clip,0\n')) == 1
    return 'read; they are not looked at'

@row('Tables', 'line ends and NUL in names', 'control characters')
def _(d): table(d, f'{HEADING}"clip/a\nb.png",clip,0\n"clip/a\0b.png",clip,1\n')

@row('Tables', 'zero bytes', 'an empty file')
def _(d): table(d, '')

@row('Tables', 'a picture, or another encoding', 'UTF-8')
def _(d): table(d, b'\x89PNG\r\n\x1a\n\0\0\xff\xfe')

@row('Tables', 'five million cells', 'cells at most')
def _(d): table(d, HEADING + ',,\n'*1_700_000)

@row('Tables', 'a hundred megabytes', 'bytes at most')
def _(d):
    table(d, f'{HEADING},clip,0\n', ())
    os.truncate(d/'base'/'x_train.csv', 100_000_001)
    yield
    read_split('x', d/'base')
