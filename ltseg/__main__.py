"`python -m ltseg` is the program `ltseg`. No notebook stands behind this file: nbdev makes modules, and this is a call."
import sys

from ltseg.cli import main

if __name__ == '__main__': sys.exit(main())
