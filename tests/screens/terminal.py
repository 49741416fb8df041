"""Runs a command in a terminal of its own and prints what the terminal got.

Arguments: columns, rows, a JSON list of pairs (what is waited for, what is typed then), the command.
Ends as the command does.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time

LIMIT_S = 120


def main():
    columns, rows, typed, *command = sys.argv[1:]
    pid, terminal = pty.fork()
    if pid == 0:
        # The size is there before the program looks.
        sys.stdin.readline()
        os.execvp(command[0], command)
    size = struct.pack("HHHH", int(rows), int(columns), 0, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    before = termios.tcgetattr(terminal)
    os.write(terminal, b"\n")
    typed = json.loads(typed)
    got = b""
    seen = 0
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            part = os.read(terminal, 65536)
        except OSError:
            part = b""
        if not part:
            break
        got += part
        while typed and (at := got.find(typed[0][0].encode(), seen)) >= 0:
            wanted, answer = typed.pop(0)
            seen = at + len(wanted)
            os.write(terminal, answer.encode())
    else:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    if termios.tcgetattr(terminal) != before:
        got += b"\nthe terminal is not as it was\n"
    sys.stdout.buffer.write(got)
    sys.stdout.flush()
    sys.exit(os.waitstatus_to_exitcode(status) if not os.WIFSIGNALED(status) else 124)


main()
