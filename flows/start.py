"""Entry point of `phraseldm`: from its first moment on, errors and signals end it in a sentence."""

import sys

from tasks.interruption import ending_when_asked


def main() -> None:
    """Run the command line; what it imports takes a while, in which Ctrl-C is heard already."""
    try:
        with ending_when_asked():
            from flows.__main__ import app
            from tasks.command_line import write_utf8

            write_utf8()
            app(prog_name="phraseldm")
    except Exception as error:
        from tasks.command_line import shortened
        from tasks.errors import plain_sentence

        sentence = plain_sentence(error)
        if sentence is None:
            raise
        sys.stderr.write(f"{shortened(sentence)}\n")
        sys.exit(2)
