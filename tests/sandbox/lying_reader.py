"""A child that makes no picture, and says of each that it is put off."""

import os
import socket
import sys

from msgspec import msgpack

from app.sandbox.pictures import LONGEST_QUESTION, MOST_FILES, PUT_OFF, Picture, Wish
from app.sandbox.wire import frame as framed

questions = socket.socket(fileno=int(sys.argv[1]))
question, files, _, _ = socket.recv_fds(questions, LONGEST_QUESTION, MOST_FILES)
for number, wish in enumerate(msgpack.decode(question, type=list[Wish])):
    for frame in wish.frames:
        os.write(1, framed(Picture(number, frame, why_not=PUT_OFF)))
questions.recv(1)
