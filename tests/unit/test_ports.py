"""Ports of tests are given out once among all processes of a machine."""

import socket
from contextlib import closing
from itertools import islice

import pytest

from bench.ports import _BLOCK, _ports


def test_every_block_that_a_process_took_ports_of_stays_its_own() -> None:
    with closing(_ports()) as ports:
        for port in list(islice(ports, 2 * _BLOCK + 1)):
            with socket.socket(socket.AF_UNIX) as other, pytest.raises(OSError, match="in use"):
                other.bind(f"\0otpbroker-ports-{port // _BLOCK * _BLOCK}")
