"""Prints the entries of a directory node (hex) as the second reader decodes them: JSON, fields that are not empty, bytes
in hex, numbers as text."""
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../store/pack/testdata"))
import reader  # noqa: E402


class Node:
    def chunk(self, id, what):
        with open(sys.argv[1]) as f:
            return bytes.fromhex(f.read())


def plain(v):
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items() if (any(x) if isinstance(x, bytes) and k == "node" else x)}
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    return v.hex() if isinstance(v, bytes) else str(v)


print(json.dumps(plain(reader.entries(Node(), b"", "node"))))
