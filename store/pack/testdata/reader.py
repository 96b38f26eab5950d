#!/usr/bin/python3
"""A second reader of satchel repositories, format 1.

    reader.py REPO_DIR --kek HEX [--generation N] list
    reader.py REPO_DIR --kek HEX [--generation N] ls SNAPSHOT
    reader.py REPO_DIR --kek HEX [--generation N] extract SNAPSHOT DIR
    reader.py REPO_DIR --kek HEX [--generation N] check

It is written from FORMAT.md and from nothing else, and it shares no line with the programs that write repositories:
what both read in the same way is what the document says. It reads every entry of the ledger from the first and never
trusts a checkpoint; it is made to be compared with the document, not to be fast. The numbers in brackets are sections
of FORMAT.md. KEK is the key of a generation (by default the newest one that has a ring), 64 hex digits.

Exit codes: 0, 6 for damage, 1 for everything else. An error names the object.
"""
import argparse, hashlib, hmac, json, os, re, stat, struct, sys, time
from collections import OrderedDict

import zstandard
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KiB, MiB = 1 << 10, 1 << 20


class Damage(Exception):
    """Bytes that are not what the format, a name or a hash says they are."""


class TooNew(Exception):
    """Written by a newer satchel, or under a newer key."""


class NoKey(Damage):
    """Under a key that is not in the ring."""

    def __init__(self, why, generation):
        super().__init__(why)
        self.generation = generation


class Void(Exception):
    """A ledger entry that every reader skips."""


def need(condition, what, why):
    if not condition:
        raise Damage(f"{what}: {why}")


def sha(data):
    return hashlib.sha256(data).digest()


# ---- deterministic CBOR (introduction) ---------------------------------------------------------------------------

def decode(data, what):
    """Decode one strict item. Refusing everything but the shortest form is the same as encoding again and comparing."""
    pos = 0

    def item(depth):
        nonlocal pos
        need(pos < len(data), what, "CBOR ends early")
        major, info = data[pos] >> 5, data[pos] & 31
        pos += 1
        if major == 7:
            need(info in (20, 21), what, "CBOR: a simple value, a float or null")
            return info == 21
        need(info < 28 and major != 6, what, "CBOR: an indefinite or tagged item")
        n = info
        if info >= 24:
            width = 1 << (info - 24)
            need(pos + width <= len(data), what, "CBOR ends early")
            n = int.from_bytes(data[pos:pos + width], "big")
            need(n >= (24 if width == 1 else 1 << (4 * width)), what, "CBOR: a length that is not the shortest")
            pos += width
        if major == 0:
            return n
        if major == 1:
            need(n < 1 << 63, what, "CBOR: a number below -2^63")
            return -1 - n
        if major in (2, 3):
            need(n <= len(data) - pos, what, "CBOR ends early")
            raw, pos = data[pos:pos + n], pos + n
            if major == 2:
                return raw
            try:
                return raw.decode("utf-8")
            except UnicodeDecodeError:
                raise Damage(f"{what}: CBOR: text that is not UTF-8")
        need(depth < 16, what, "CBOR: more than 16 levels")
        need(n <= (1 << 20 if major == 4 else 1 << 16) and n <= len(data) - pos, what, "CBOR: too many elements")
        if major == 4:
            return [item(depth + 1) for _ in range(n)]
        pairs, last = {}, b""
        for _ in range(n):
            begin = pos
            key = item(depth + 1)
            raw = data[begin:pos]
            need(type(key) is int and raw > last, what, "CBOR: a key that is no number, or not ascending")
            last, pairs[key] = raw, item(depth + 1)
        return pairs

    value = item(0)
    need(pos == len(data), what, "CBOR: bytes after the item")
    return value


def encode(v):
    def head(major, n):
        if n < 24:
            return bytes([major << 5 | n])
        for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
            if n < 1 << (8 * width):
                return bytes([major << 5 | info]) + n.to_bytes(width, "big")
    if isinstance(v, bool):
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    return head(4, len(v)) + b"".join(map(encode, v))


# A shape says what a decoded item has to be: "u" unsigned, "i" signed, "b" true or false, "t" text, "y" bytes, a
# number for so many bytes, [shape] for an array of it, (shape, …) for an array of just these, {key: (name, shape)}
# for a map.
def fit(v, shape, what):
    if isinstance(shape, dict):
        need(isinstance(v, dict), what, "not a map")
        for key, value in v.items():
            if key not in shape:
                raise TooNew(f"{what}: key {key}: written by a newer satchel")
            zero = not any(value) if type(shape[key][1]) is int and isinstance(value, bytes) else not value
            need(not zero, what, f"key {key}: a zero or empty value is written")
        # An absent key is zero or empty.
        return {name: fit(v[k], s, f"{what}: {name}") if k in v else empty(s) for k, (name, s) in shape.items()}
    if isinstance(shape, list):
        need(isinstance(v, list), what, "not an array")
        return [fit(x, shape[0], what) for x in v]
    if isinstance(shape, tuple):
        need(isinstance(v, list) and len(v) == len(shape), what, f"not an array of {len(shape)}")
        return [fit(x, s, what) for x, s in zip(v, shape)]
    if isinstance(shape, int):
        need(isinstance(v, bytes) and len(v) == shape, what, f"not {shape} bytes")
    elif shape == "u":
        need(type(v) is int and v >= 0, what, "not an unsigned number")
    elif shape == "i":
        need(type(v) is int and v < 1 << 63, what, "not a signed number")
    else:
        need(type(v) is {"b": bool, "t": str, "y": bytes}[shape], what, "of the wrong type")
    return v


def empty(s):
    return {"u": 0, "i": 0, "b": False, "t": "", "y": b""}.get(s) if isinstance(s, str) else \
        bytes(s) if isinstance(s, int) else {} if isinstance(s, dict) else []


# ---- sealing [2] --------------------------------------------------------------------------------------------------

FRAME, DIRECTORY, FOOTER, WHOLE = 1, 2, 3, 4
LIMIT = {"r": MiB, "l": MiB, "s": 64 * MiB, "i": 4 * MiB, "a": MiB, "d": 64 * MiB, "t": 64 * MiB}


def padme(n):
    e = n.bit_length() - 1
    low = e - e.bit_length()
    return n if low <= 0 else (n + (1 << low) - 1) >> low << low


class Object:
    """One sealed object, of which the header has been checked against a key."""

    def __init__(self, repo, name, kind, data, keys, position=None):
        self.name, self.data, self.position = name, data, position
        need(len(data) >= 80 + 16, name, "shorter than a header and a tag")
        magic, fmt, suite, flags, generation, salt, commitment = struct.unpack(">8sBBHI32s32s", data[:80])
        need(magic == b"satchel\n", name, "no magic")
        if fmt != 1 or suite != 1 or flags & 0xff:
            raise TooNew(f"{name}: format {fmt}, suite {suite}, flags {flags:#06x}: this reader is too old")
        if generation not in keys:
            raise NoKey(f"{name}: of generation {generation}, for which the keyring has no key", generation)
        prk = hmac.digest(b"satchel/1" + repo, keys[generation], "sha256")
        info = b"object" + kind.encode() + data[:48]
        t1 = hmac.digest(prk, info + b"\x01", "sha256")
        t2 = hmac.digest(prk, t1 + info + b"\x02", "sha256")
        need(hmac.compare_digest(t2, commitment), name, "the commitment does not match: damaged, or another key")
        self.aead = AESGCM(t1)

    def open(self, domain, offset, length):
        nonce = bytes([domain, 0, 0, 0]) + struct.pack(">Q", offset)
        aad = self.data[:80] + bytes([domain])
        if self.position is not None:
            aad += struct.pack(">Q", self.position)
        need(16 <= length and 80 <= offset and offset + length <= len(self.data), self.name, "a part lies outside")
        try:
            return self.aead.decrypt(nonce, self.data[offset:offset + length], aad)
        except InvalidTag:
            raise Damage(f"{self.name}: the part at {offset} does not open: damaged")

    def whole(self):
        plain = self.open(WHOLE, 80, len(self.data) - 80)
        need(len(plain) >= 4, self.name, "no length")
        n = int.from_bytes(plain[:4], "big")
        need(4 + n <= len(plain), self.name, "the payload is longer than the object")
        need(len(self.data) == padme(80 + 4 + n + 16), self.name, "not of its Padmé size")
        need(not any(plain[4 + n:]), self.name, "a filler that is not zero")
        return plain[4:4 + n]


# ---- packs [3] ----------------------------------------------------------------------------------------------------

def zstd(data, size, exact, base, what):
    """Decode exactly one zstd frame, of at most (or exactly) size bytes. The frame's end is found by walking its
    blocks, as a decoder by itself would pass over what stands after it."""
    need(data[:4] == b"\x28\xb5\x2f\xfd", what, "no zstd frame")
    try:
        p = zstandard.get_frame_parameters(data)
        pos, last = zstandard.frame_header_size(data), False
        while not last:
            need(pos + 3 <= len(data), what, "zstd: ends early")
            block = int.from_bytes(data[pos:pos + 3], "little")
            last = block & 1
            pos += 3 + (1 if block >> 1 & 3 == 1 else block >> 3)
        need(pos + 4 * p.has_checksum == len(data), what, "zstd: more or less than one frame")
        known = p.content_size < 1 << 63
        need(p.dict_id == 0 and p.window_size <= 16 * MiB, what, "zstd: a dictionary or a window that is too large")
        need(not known or p.content_size <= size, what, "zstd: decodes to another size")
        raw = base and zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        out = zstandard.ZstdDecompressor(dict_data=raw, max_window_size=16 * MiB).decompress(data, max_output_size=size)
    except zstandard.ZstdError as e:
        raise Damage(f"{what}: zstd: {e}")
    need(len(out) == size or (not exact and len(out) < size), what, "zstd: decodes to another size")
    return out


def patch(data, base, what):
    """Coding 3: replace pages of 4 KiB of the base."""
    need(len(data) >= 4, what, "page patch: no count")
    n, = struct.unpack(">I", data[:4])
    need(n <= (len(data) - 4) // 4, what, "page patch: ends early")
    numbers, pos, out = struct.unpack(f">{n}I", data[4:4 + 4 * n]), 4 + 4 * n, bytearray(base)
    need(all(a < b for a, b in zip(numbers, numbers[1:])), what, "page patch: pages do not ascend")
    for page in numbers:
        length = min(4096, len(base) - page * 4096)
        need(length > 0 and pos + length <= len(data), what, "page patch: a page lies outside")
        out[page * 4096:page * 4096 + length] = data[pos:pos + length]
        pos += length
    need(pos == len(data), what, "page patch: bytes after the last page")
    return bytes(out)


class Directory:
    """The encoding of a pack's directory."""

    def __init__(self, enc, what):
        need(len(enc) <= MiB and len(enc) >= 60, what, "directory: of no possible size")
        self.head, self.hash = enc[:48], sha(enc)
        nf, nc, nb = struct.unpack(">III", enc[48:60])
        need(len(enc) == 60 + 13 * nf + 32 * nb + 36 * nc, what, "directory: not as long as its counts say")
        need(1 <= nf <= nc, what, "directory: counts")
        frames = list(struct.iter_unpack(">IIIB", enc[60:60 + 13 * nf]))
        pos = 60 + 13 * nf
        bases = iter([enc[pos + 32 * i:pos + 32 * i + 32] for i in range(nb)])
        pos += 32 * nb
        chunks = list(struct.iter_unpack(">32sI", enc[pos:]))
        need(len({c for c, _ in chunks}) == nc, what, "directory: an id stands twice")
        need(sum(f[3] in (2, 3) for f in frames) == nb, what, "directory: bases are not the delta frames")
        self.frames, offset, first = [], 80, 0      # (offset, stored, plain, coding, base, [(id, length)])
        for stored, plain, count, coding in frames:
            if coding > 3:
                raise TooNew(f"{what}: coding {coding}")
            mine = chunks[first:first + count]
            need(count >= 1 and len(mine) == count and all(n >= 1 for _, n in mine), what, "directory: chunks")
            need(sum(n for _, n in mine) == plain <= 16 * MiB, what, "directory: lengths")
            need(16 < stored <= plain + 16 + KiB, what, "directory: stored")
            need(coding != 0 or stored == plain + 16, what, "directory: a raw frame of another length")
            need(coding < 2 or count == 1, what, "directory: a delta frame of several chunks")
            self.frames.append((offset, stored, plain, coding, next(bases) if coding > 1 else None, mine))
            offset, first = offset + stored, first + count
        need(first == nc, what, "directory: chunks of no frame")
        self.end = offset


class Pack:
    def __init__(self, repo, name):
        data = repo.read(name)
        self.name, self.object = name, Object(repo.id, name, name[0], data, repo.keys)
        need(len(data) >= 80 + 36, name, "shorter than a header and a footer")
        footer = self.object.open(FOOTER, len(data) - 36, 36)
        offset, sealed, n = struct.unpack(">QQI", footer)
        need(offset + sealed + 36 == len(data), name, "footer: the directory does not end at the footer")
        plain = self.object.open(DIRECTORY, offset, sealed)
        need(n <= len(plain) and not any(plain[n:]), name, "directory: length or filler")
        self.directory = Directory(plain[:n], name)
        need(self.directory.head == data[:48], name, "directory: of another pack")
        need(self.directory.end == offset, name, "frames do not end where the directory begins")
        need(len(data) == padme(offset + 16 + n + 36), name, "not of its Padmé size")

    def frame(self, repo, i):
        """The plaintext of frame i, every chunk compared with its id."""
        offset, stored, plain, coding, base, chunks = self.directory.frames[i]
        what = f"{self.name}: frame {i}"
        coded = self.object.open(FRAME, offset, stored)
        if coding == 0:
            out = coded
        elif coding == 1:
            out = zstd(coded, plain, True, None, what)
        elif coding == 2:
            out = zstd(coded, plain, True, repo.chunk(base, what, base=True), what)
        else:
            old = repo.chunk(base, what, base=True)
            need(len(old) == plain, what, "page patch: the base has another length")
            out = patch(zstd(coded, 4 + 4 * (-(-plain // 4096)) + plain, False, None, what), old, what)
        need(len(out) == plain, what, "of another length")
        pos = 0
        for id, n in chunks:
            need(sha(out[pos:pos + n]) == id, what, f"chunk {id.hex()} has other content")
            pos += n
        return out


# ---- the repository -----------------------------------------------------------------------------------------------

HEX = "[0-9a-f]"
NAMES = re.compile(rf"satchel|k/p/{HEX}{{32}}|k/[1-9][0-9]{{0,8}}/({HEX}{{32}}|ring)|l/[0-7]{HEX}{{15}}"
                   rf"|[si]/{HEX}{{64}}|[adt]/{HEX}{{48}}/{HEX}{{64}}")
RING = {1: ("keys", [("u", 32)]), 2: ("chunker", 32), 3: ("balance", 32)}


class Repository:
    def __init__(self, root, kek, generation):
        self.root, self.packs, self.frames, self.where = root, OrderedDict(), OrderedDict(), {}
        self.names, self.strange = set(), []
        for path, _, files in os.walk(root):
            for f in files:
                name = os.path.relpath(os.path.join(path, f), root)
                self.names.add(name) if NAMES.fullmatch(name) else self.strange.append(name)
        # The bootstrap [1].
        try:
            boot = json.loads(self.read("satchel", 4 * KiB))
            self.id, self.genesis = bytes.fromhex(boot["repository"]), bytes.fromhex(boot["genesis"])
        except (ValueError, KeyError, TypeError) as e:
            raise Damage(f"satchel: not a bootstrap: {e}")
        need(boot.get("satchel") == "repository" and len(self.id) == 16 and len(self.genesis) == 32
             and boot["repository"] + boot["genesis"] == self.id.hex() + self.genesis.hex(), "satchel", "fields")
        if boot.get("format") != 1:
            raise TooNew(f"satchel: format {boot.get('format')}")
        # The ring [6].
        rings = [int(n.split("/")[1]) for n in self.names if n.endswith("/ring")]
        self.generation = generation or max(rings, default=1)
        name = f"k/{self.generation}/ring"
        ring = Object(self.id, name, "r", self.read(name, LIMIT["r"]), {self.generation: kek})
        need(ring.data[12:16] == struct.pack(">I", self.generation), name, "of another generation")
        ring = fit(decode(ring.whole(), name), RING, name)
        gens = [g for g, _ in ring["keys"]]
        need(gens and gens[0] > 0 and all(a < b for a, b in zip(gens, gens[1:])) and gens[-1] == self.generation,
             name, "generations do not ascend to that of the ring")
        need(all(any(k) for _, k in ring["keys"]) and any(ring["chunker"]) and any(ring["balance"]), name, "a zero key")
        self.keys, self.secret = dict(ring["keys"]), ring["balance"]
        self.ledger = Ledger(self)

    def read(self, name, limit=None):
        limit = limit or LIMIT.get(name[0], 64 * KiB)
        try:
            with open(os.path.join(self.root, name), "rb") as f:
                data = f.read(limit + 1)
        except FileNotFoundError:
            raise Damage(f"{name}: is missing")
        need(len(data) <= limit, name, "larger than its limit")
        if name[0] in "siadt" and name != "satchel":
            need(sha(data).hex() == name[-64:], name, "the content is not the one of its name")
        return data

    def load(self):
        """Read the directories of all registered packs: where every chunk is."""
        for _, key, size, digest, _ in self.ledger.state.of(4):
            name = packname(key)
            pack = self.pack(name)
            need(len(pack.object.data) == size and pack.directory.hash == digest, name, "not as it is registered")
            for i, (_, _, _, coding, _, chunks) in enumerate(pack.directory.frames):
                pos = 0
                for id, n in chunks:
                    self.where.setdefault(id, []).append((coding > 1, name, i, pos, n))
                    pos += n

    def pack(self, name):
        if name not in self.packs:
            self.packs[name] = Pack(self, name)
            if len(self.packs) > 8:
                self.packs.popitem(last=False)
        return self.packs[name]

    def chunk(self, id, what, base=False):
        places = self.where.get(id)
        need(places, what, f"chunk {id.hex()} is in no pack")
        delta, name, i, pos, n = min(places)        # whole ones before deltas
        need(not (base and delta), what, f"chunk {id.hex()}: a chain of deltas")
        if (name, i) not in self.frames:
            self.frames[name, i] = self.pack(name).frame(self, i)
            if len(self.frames) > 8:
                self.frames.popitem(last=False)
        return self.frames[name, i][pos:pos + n]


def packname(key):
    return f"{chr(key[0])}/{key[1:25].hex()}/{key[25:].hex()}"


# ---- the ledger [7] -----------------------------------------------------------------------------------------------

GENESIS, COMMIT, REG, FORGET, UNFORGET, HOLD, TAG, CONDEMN, CKPT, ENROLL = range(1, 11)
REVOKE, KEYRING, AUDIT, MEMBER, OPEN = 11, 12, 14, 15, 0x80
PUSH, PRUNE, ENROL, ADMIN = 1, 2, 4, 8
PRINCIPAL = (16, "u", "t", "u", "t", 32)
PACKS, IDS = [(57, "u", 32, "y")], [32]
BODY = {1: ("repository", 16), 2: ("position", "u"), 3: ("prev", 32), 4: ("state", 32), 5: ("sequence", "u"),
        6: ("time", "i"), 7: ("nonce", 16), 8: ("kind", "u"), 9: ("content", "y"), 10: ("checkpoint", "u"),
        11: ("user", "t")}

# The kinds that are written today: the right that an author needs, and the content.
KINDS = {
    GENESIS: (0, {1: ("principals", [PRINCIPAL])}),
    COMMIT: (PUSH, {1: ("snapshot", 32), 2: ("workspace", 16), 3: ("name", "t"), 4: ("remote", "t"),
                    5: ("parents", IDS), 6: ("root", 32), 7: ("files", "u"), 8: ("bytes", "u"), 9: ("new", "u"),
                    10: ("problems", "u"), 11: ("packs", PACKS), 12: ("segments", IDS), 13: ("flags", "u"),
                    14: ("clock", "i")}),
    REG: (PUSH, {1: ("packs", PACKS), 2: ("segments", IDS)}),
    FORGET: (0, {1: ("snapshots", IDS)}),
    UNFORGET: (0, {1: ("snapshots", [("u", 32, 16, "u", "i", 16, IDS, 32, "u", "u", "u", "u", "u")])}),
    HOLD: (0, {1: ("snapshot", 32), 2: ("reason", "t"), 3: ("until", "i"), 4: ("released", "b")}),
    TAG: (0, {1: ("snapshot", 32), 2: ("tag", "t"), 3: ("removed", "b")}),
    CONDEMN: (PRUNE, {1: ("names", ["t"]), 2: ("packs", PACKS), 3: ("segments", IDS)}),
    CKPT: (PUSH, {1: ("covered", "u"), 2: ("object", 32), 3: ("payload", 32), 4: ("segments", IDS),
                  5: ("leave", ["t"]), 6: ("horizon", "u")}),
    ENROLL: (ENROL, {1: ("principal", PRINCIPAL)}),
    REVOKE: (ADMIN, {1: ("principal", 16), 2: ("reason", "t")}),
    KEYRING: (ADMIN, {1: ("generation", "u"), 2: ("kek", 32), 3: ("principals", [16])}),
    MEMBER: (0, {1: ("principal", 16), 2: ("name", "t"), 3: ("rights", "u")}),
    AUDIT: (PUSH, {1: ("what", "u"), 2: ("count", "u"), 3: ("detail", 32), 4: ("session", 24)}),
}
DETAIL = {1: ("snapshot", 32), 2: ("workspace", 16), 3: ("paths", ["y"]), 4: ("where", "t"), 5: ("reason", "t"), 6: ("gate", "t")}


class State:
    """The elements of State(N), with their balance. Keys are (tag, what names the element within its tag)."""

    def __init__(self, secret):
        self.secret, self.elements, self.balance = secret, {}, 0

    def copy(self):
        other = State(self.secret)
        other.elements, other.balance = dict(self.elements), self.balance
        return other

    def mac(self, e):
        return int.from_bytes(hmac.digest(self.secret, encode(e), "sha256"), "big")

    def put(self, key, element):
        self.drop(key)
        self.elements[key] = element
        self.balance = (self.balance + self.mac(element)) % (1 << 256)

    def drop(self, key):
        if key in self.elements:
            self.balance = (self.balance - self.mac(self.elements.pop(key))) % (1 << 256)

    def get(self, *key):
        return self.elements.get(key)

    def of(self, tag):
        return [e for k, e in sorted(self.elements.items()) if k[0] == tag]

    def digest(self, n):
        return sha(b"satchel/1 state" + struct.pack(">Q", n) + self.balance.to_bytes(32, "big"))

    def payload(self):
        return b"".join(struct.pack(">I", len(e)) + e for e in sorted(map(encode, self.elements.values())))


def allow(condition, why):
    if not condition:
        raise Void(why)


class Ledger:
    def __init__(self, repo):
        self.repo, self.state, self.voids, self.checkpoints, self.encodings = repo, State(repo.secret), [], [], {}
        names = {(1 << 63) - 1 - int(n[2:], 16): n for n in repo.names if n[:2] == "l/"}
        head = self.head = max(names, default=0)
        need(head > 0, "l/", "no entry")
        raw, opened, failed = {}, {}, {}
        for n in range(1, head + 1):
            need(n in names, f"l/{(1 << 63) - 1 - n:016x}", "is missing: a gap in the ledger")
            raw[n] = repo.read(names[n], 64 * MiB)
            try:
                opened[n] = self.open(n, names[n], raw[n])
            except Damage as e:
                failed[n] = e
        need(sha(raw[1]) == repo.genesis, "satchel", f"its genesis is not {names[1]}")
        chain = [bytes(32)]
        for n in range(1, head + 1):
            chain.append(sha(chain[-1] + sha(raw[n])))
        # The next entry that opens vouches for all before it by the chain. After the head nobody wrote.
        self.unvouched = failed.get(head)
        for n, e in failed.items():
            after = next((m for m in range(n + 1, head + 1) if m in opened and opened[m][0]), None)
            if after and opened[after][0]["prev"] != chain[after - 1]:
                raise e
        for n in range(1, head + 1):
            inforce = self.state.get(1)[4] if n > 1 else 1
            if isinstance(failed.get(n), NoKey) and failed[n].generation == inforce:
                raise TooNew(f"{names[n]}: of generation {inforce}: the keyring of that generation comes first")
            try:
                allow(n in opened, f"it does not open: {failed.get(n)}")
                allow(int.from_bytes(raw[n][12:16], "big") == inforce, "sealed under a generation that is not in force")
                state = self.state.copy()
                self.fold(n, state, chain[n - 1], *opened[n])
                self.state = state
            except (Void, Damage) as e:
                need(n > 1, names[n], f"the genesis is void: {e}")
                self.voids.append(f"{names[n]}: entry {n} is void: {e}")

    def open(self, n, name, data):
        need(len(data) <= LIMIT["l"], name, "larger than its limit")
        outer = decode(Object(self.repo.id, name, "l", data, self.repo.keys, position=n).whole(), name)
        body, signatures = fit(outer, ("y", [(16, 64)]), name)
        need(signatures, name, "no signature")
        try:
            fields = fit(decode(body, name), BODY, name)
        except TooNew:
            return None, body, signatures
        need(fields["kind"] < 256, name, "of no possible kind")
        return fields, body, signatures

    def fold(self, n, st, prev, b, body, signatures):
        """Check entry n and change st, a copy of State(n-1), to State(n). What breaks a rule is Void."""
        name = f"entry {n}"

        def signed(i, principal):
            allow(signatures[i][0] == principal[0], "signed by another")
            try:
                key = Ed25519PublicKey.from_public_bytes(principal[5])
                key.verify(signatures[i][1], b"satchel/1 entry\0" + body)
            except (InvalidSignature, ValueError):
                raise Void(f"the signature of {principal[2]!r} does not verify")

        def content():
            right, shape = KINDS[kind]
            allow(rights & right == right, "its author has not the right")
            return fit(decode(b["content"], name), shape, name)

        author = st.get(7, signatures[0][0])
        if not b:
            allow(author and author[4] == 0, "its author is no live principal")
            signed(0, author[1])
            raise TooNew(f"{name}: its body has an unknown key: written by a newer satchel")
        kind = b["kind"]
        allow(b["repository"] == self.repo.id, "of another repository")
        allow(b["position"] == n and b["prev"] == prev, "written after another entry")
        if n == 1:
            rights = 0
            allow(kind == GENESIS and b["sequence"] == 1 and b["time"] > 0 and len(signatures) == 1
                  and not any(b["state"]) and b["checkpoint"] == 0, "no genesis")
            c = content()["principals"]
            allow(c and c[0][1] == 1 and len({p[0] for p in c}) == len(c) and all(map(possible, c)), "its principals")
            signed(0, c[0])
            for p in c:
                st.put((7, p[0]), [7, p, 1 if p is c[0] else 0, 1, 0])
            st.put((1,), [1, b["time"], 0, 0, 1])
            return
        allow(b["state"] == st.digest(n - 1), "its author saw another state")
        allow(author and author[4] == 0, "its author is no live principal")
        _, principal, sequence, enrolled, _ = author
        _, when, checkpoint, horizon, generation = st.get(1)
        rights = principal[3]
        signed(0, principal)
        allow(b["sequence"] == sequence + 1, "its sequence is not the next")
        allow(b["time"] > when, "its time is not later")
        allow(b["checkpoint"] == checkpoint, "it names another checkpoint")
        allow(len(b["user"].encode()) <= 256 and not any(x < " " or "\x7f" <= x <= "\x9f" for x in b["user"]), "its user")
        if kind not in KINDS and kind < OPEN:
            raise TooNew(f"{name}: of kind {kind}: this reader is too old")
        allow(kind >= OPEN or len(signatures) == (2 if kind == ENROLL else 1), "not the right number of signatures")
        st.put((7, principal[0]), [7, principal, b["sequence"], enrolled, 0])

        if kind == COMMIT:
            self.commit(n, st, b, content(), principal[0], horizon)
        elif kind == REG:
            c = content()
            self.register(n, st, c["packs"], c["segments"], horizon)
        elif kind in (FORGET, UNFORGET, HOLD, TAG):
            self.word(n, st, b, kind, content(), principal[0], rights)
        elif kind == CONDEMN:
            self.condemn(n, st, b, content(), horizon)
        elif kind == CKPT:
            c, payload = content(), self.state.payload()
            allow(c["covered"] == n - 1 and c["payload"] == sha(payload), "it covers another state")
            allow(horizon <= c["horizon"] <= n, "its horizon goes back or ahead")
            self.register(n, st, [], c["segments"], horizon)
            for dead in c["leave"]:
                old = self.state.get(6, dead)
                allow(old and old[2] < c["horizon"], "a name leaves that may not")
                st.drop((6, dead))
            self.checkpoints.append((n - 1, c["object"], payload))
            checkpoint, horizon = n, c["horizon"]
        elif kind == ENROLL:
            p = content()["principal"]
            allow(possible(p), "no possible principal")
            allow(not any(e[1][0] == p[0] or e[1][5] == p[5] for e in st.of(7)), "the principal is not new")
            allow(p[3] & ~(PUSH | PRUNE) == 0 or rights & ADMIN, "it grants more than it may")
            signed(1, p)
            st.put((7, p[0]), [7, p, 0, n, 0])
        elif kind in (REVOKE, KEYRING, MEMBER):
            generation = self.member(n, st, kind, content(), principal, generation)
        elif kind == AUDIT:
            c = content()
            allow(0 < c["what"] < 256 and any(c["detail"]) == any(c["session"]), "it tells of nothing, or half")
            allow(int.from_bytes(c["session"][:8], "big") < n, "a detail of a session to come")
            allow(not st.get(6, f"a/{c['session'].hex()}/{c['detail'].hex()}"), "a detail that is dead")
        elif kind == GENESIS:
            raise Void("a second genesis")
        st.put((1,), [1, b["time"], checkpoint, horizon, generation])

    def register(self, n, st, packs, segments, horizon):
        allow(len({p[0] for p in packs}) == len(packs), "a pack stands twice")
        for key, size, digest, enc in packs:
            allow(key[:1] in (b"d", b"t") and 0 < size <= 64 * MiB and padme(size) == size, "no possible pack")
            allow(horizon <= int.from_bytes(key[1:9], "big") < n, "a pack of a session before the horizon, or to come")
            allow(not st.get(6, packname(key)), "a pack that is dead")
            allow(not enc or sha(enc) == digest, "a directory that has another hash")
            old = st.get(4, key)
            allow(not old or old[2:4] == [size, digest], "a pack that is registered with another size or hash")
        for s in segments:
            allow(not st.get(6, "i/" + s.hex()), "a segment that is dead")
        for key, size, digest, enc in packs:
            if not st.get(4, key):
                st.put((4, key), [4, key, size, digest, n])
            if enc:
                self.encodings[key] = (n, enc)
        for s in segments:
            if not st.get(5, s):
                st.put((5, s), [5, s, n])

    def commit(self, n, st, b, c, author, horizon):
        if c["flags"] & ~3:
            raise TooNew(f"entry {n}: flags {c['flags']:#x}")
        allow(any(c["snapshot"]) and any(c["root"]) and any(c["workspace"]), "an id is missing")
        allow(not st.get(2, c["snapshot"]), "its snapshot is there already")
        ws = st.get(3, c["workspace"])
        if ws:
            allow(ws[2:4] == [c["name"], c["remote"]], "its workspace has another name or remote")
        else:
            allow(1 <= len(c["name"].encode()) <= 128 and len(c["remote"].encode()) <= 1024
                  and not any(x < " " or x == "\x7f" for x in c["name"]), "no possible name of a workspace")
        heads, parents = (ws[4] if ws else []), c["parents"]
        for i, p in enumerate(parents):
            e = st.get(2, p)
            allow(e and e[2] == c["workspace"] and p not in parents[:i], "no snapshot of the workspace as a parent")
        allow((parents and parents[0] in heads) or (not heads and not parents) or c["flags"], "not upon a head")
        allow(c["flags"] != 3 and (ws or c["flags"] != 2), "a safety snapshot is no head")
        self.register(n, st, c["packs"], c["segments"], horizon)
        if c["flags"] != 2:
            heads = sorted([h for h in heads if h not in parents] + [c["snapshot"]])
        st.put((3, c["workspace"]), [3, c["workspace"], c["name"], c["remote"], heads])
        st.put((2, c["snapshot"]), [2, c["snapshot"], c["workspace"], n, b["time"], author, parents, c["root"],
                                    c["files"], c["bytes"], c["new"], c["problems"], c["flags"]])

    def word(self, n, st, b, kind, c, author, rights):
        """FORGET, UNFORGET, HOLD and TAG: what is said of snapshots that there are, or were."""
        def over(v):
            allow(v, "no snapshot")
            allow(rights & PRUNE or rights & PUSH and v[5] == author, "its author has not the right")
            return v

        if kind == FORGET:
            gone = set(c["snapshots"])
            allow(gone and len(gone) == len(c["snapshots"]), "nothing, or one twice")
            for id in gone:
                over(st.get(2, id))
                held = st.get(9, id)
                allow(not held or 0 < held[5] <= b["time"], "a snapshot that is held")
            for w in st.of(3):
                if any(h in gone for h in w[4]):
                    allow(all(v[1] in gone or v[12] & 2 for v in st.of(2) if v[2] == w[1]), "a head")
                    st.put((3, w[1]), w[:4] + [[]])

            def staying(ids, seen):
                for id in ids:
                    if id not in seen:
                        seen.add(id)
                        yield from staying(st.get(2, id)[6], seen) if id in gone else [id]

            for v in [v for v in st.of(2) if v[1] not in gone and any(p in gone for p in v[6])]:
                st.put((2, v[1]), v[:6] + [list(staying(v[6], set()))] + v[7:])
            for id in gone:
                for key in [k for k in st.elements if k[0] in (2, 9, 10) and k[1] == id]:
                    st.drop(key)
        elif kind == UNFORGET:
            allow(c["snapshots"] and len({v[1] for v in c["snapshots"]}) == len(c["snapshots"]), "nothing, or one twice")
            for v in c["snapshots"]:
                tag, id, w, position, when, _, _, root, _, _, _, _, flags = over(v)
                allow(tag == 2 and any(id) and any(root) and st.get(3, w) and 0 < position < n and 0 < when < b["time"]
                      and flags & ~3 == 0 and not st.get(2, id), "no possible snapshot")
            for v in c["snapshots"]:
                st.put((2, v[1]), v)
                w = st.get(3, v[2])
                if not w[4] and v[12] & 2 == 0:
                    st.put((3, v[2]), w[:4] + [[v[1]]])
        elif kind == HOLD:
            over(st.get(2, c["snapshot"]))
            if c["released"]:
                allow(st.get(9, c["snapshot"]) and not c["reason"] and not c["until"], "nothing to release")
                return st.drop((9, c["snapshot"]))
            allow(0 < len(c["reason"].encode()) <= 1024 and (c["until"] == 0 or c["until"] > b["time"]), "its reason or time")
            st.put((9, c["snapshot"]), [9, c["snapshot"], author, b["time"], c["reason"], c["until"]])
        else:
            over(st.get(2, c["snapshot"]))
            key = (10, c["snapshot"], c["tag"])
            allow(bool(st.get(*key)) == c["removed"], "a tag that is there, or is not")
            if c["removed"]:
                return st.drop(key)
            allow(1 <= len(c["tag"].encode()) <= 128 and not any(x < " " or x == "\x7f" for x in c["tag"])
                  and sum(k[:2] == key[:2] for k in st.elements) < 64, "no possible tag")
            st.put(key, [10, c["snapshot"], c["tag"]])

    def member(self, n, st, kind, c, author, generation):
        """REVOKE, KEYRING and MEMBER: who belongs to the repository, and which key counts."""
        live = {e[1][0]: e for e in st.of(7) if e[4] == 0}
        if kind == KEYRING:
            allow(generation < c["generation"] < 1 << 32 and any(c["kek"]), "no new generation, or no key")
            allow(c["principals"] == sorted(live), "not wrapped to those who belong to the repository")
            st.put((11, c["generation"]), [11, c["generation"], c["kek"], n])
            return c["generation"]
        who = live.get(c["principal"])
        allow(who, "no live principal")
        old = who[1]
        if kind == REVOKE:
            allow(old[0] != author[0] and len(c["reason"].encode()) <= 1024, "its author itself, or a long reason")
            allow(any(e[1][1] in (2, 3) for id, e in live.items() if id != old[0]) or old[1] not in (2, 3), "the last way in")
            st.put((7, old[0]), who[:4] + [n])
            return generation
        new = old[:2] + [c["name"], c["rights"]] + old[4:]
        allow(new != old and possible(new), "it changes nothing, or to what is not possible")
        allow(author[3] & ADMIN or author[0] == old[0] and new[3] == old[3], "its author has not the right")
        allow(new[3] == old[3] or old[1] == 1 and author[0] != old[0], "rights that cannot be changed")
        st.put((7, old[0]), [7, new] + who[2:])
        return generation

    def condemn(self, n, st, b, c, horizon):
        names = c["names"]
        allow(0 < len(names) <= 4096 and all(x < y for x, y in zip(names, names[1:])), "its names")
        registered = {packname(p[0]) for p in c["packs"]} | {"i/" + h.hex() for h in c["segments"]}
        for name in names:
            allow(not st.get(6, name) and name not in registered, "a name that is dead, or registered with it")
            m = re.fullmatch("([dt])/([0-9a-f]{16})([0-9a-f]{32})/([0-9a-f]{64})|[is]/[0-9a-f]{64}|a/[0-9a-f]{48}/[0-9a-f]{64}", name)
            allow(m, "a name that may not go")
            if m[1]:
                key = m[1].encode() + bytes.fromhex(m[2] + m[3] + m[4])
                allow(st.get(4, key) or int(m[2], 16) >= horizon, "a pack of a session before the horizon")
        self.register(n, st, c["packs"], c["segments"], horizon)
        for name in names:
            st.put((6, name), [6, name, n, b["time"]])
            if name[0] in "dt":
                st.drop((4, name[0].encode() + bytes.fromhex(name[2:].replace("/", ""))))
            elif name[0] == "i":
                st.drop((5, bytes.fromhex(name[2:])))

    def snapshots(self):
        return sorted(self.state.of(2), key=lambda e: e[3])


def possible(p):
    """Whether a principal can be one. (The recipient's own form is looked at from outside only.)"""
    id, kind, name, rights, recipient, verify = p
    return (any(id) and any(verify) and 1 <= kind <= 5 and rights <= (15 if kind < 4 else 0) and len(recipient) <= 4096
            and (kind > 3 or recipient.startswith("age1pq1")) and 1 <= len(name.encode()) <= 128
            and not any(c < " " or "\x7f" <= c <= "\x9f" for c in name))


# ---- trees [4, 5] -------------------------------------------------------------------------------------------------

FILE, DIR, LINK = 0, 1, 2
TYPES = ("file", "dir", "symlink", "fifo", "socket", "chardev", "blockdev")
ENTRY = {1: ("name", "y"), 2: ("type", "u"), 3: ("mode", "u"), 4: ("size", "u"), 5: ("mtime", "i"), 6: ("ids", "y"),
         7: ("depth", "u"), 8: ("node", 32), 9: ("target", "y"), 10: ("owner", "t"), 11: ("group", "t"),
         12: ("uid", "u"), 13: ("gid", "u"), 14: ("link", "u"), 15: ("xattrs", [("y", "y")]),
         16: ("holes", [("u", "u")]), 17: ("device", "u"), 18: ("flags", "u"), 19: ("btime", "i"),
         21: ("marks", "u")}
ENTRY[20] = ("streams", [("y", {k: ENTRY[k] for k in (4, 6, 7)})])
MANIFEST = {1: ("workspace", 16), 2: ("name", "t"), 3: ("device", 16), 4: ("devicename", "t"), 5: ("parents", IDS),
            6: ("root", 32), 7: ("started", "i"), 8: ("read", "i"), 9: ("files", "u"), 10: ("bytes", "u"),
            11: ("git", {1: ("commit", "t"), 2: ("branch", "t"), 3: ("dirty", "b"), 4: ("remote", "t")}),
            12: ("rules", {1: ("source", "t"), 2: ("manifest", "y")}), 13: ("problems", [("y", "u", "t")]),
            14: ("version", "t"), 15: ("nonce", 16)}


def entries(repo, id, what):
    """The entries of one directory."""
    node = fit(decode(repo.chunk(id, what), what), {1: ("entries", [ENTRY]), 2: ("parts", IDS)}, what)
    need(not (node["entries"] and node["parts"]) and len(node["parts"]) != 1, what, "neither entries nor parts")
    out = node["entries"]
    need(len(out) <= 8192, what, "too many entries")
    for part in node["parts"]:
        p = fit(decode(repo.chunk(part, what), what), {1: ("entries", [ENTRY])}, what)["entries"]
        need(1 <= len(p) <= 8192, what, "a part of no or too many entries")
        out = out + p
    last = b""
    for e in out:
        name = e["name"]
        at = f"{what}/{text(name)}"
        need(name not in (b"", b".", b"..") and not set(name) & {0, 0x2f} and len(name) <= 1024, at, "no possible name")
        need(name > last, at, "names do not ascend")
        last = name
        need(e["type"] <= 6 and e["mode"] < 1 << 12 and e["depth"] <= 3 and len(e["ids"]) % 32 == 0, at, "fields")
        need(e["type"] == FILE or not (e["ids"] or e["size"] or e["depth"]), at, "content of what is no file")
        need((e["size"] > 0) == (len(e["ids"]) > 0) and (e["ids"] or not e["depth"]), at, "size or ids")
        need((e["type"] == DIR) == any(e["node"]), at, "a node without a directory, or the other way round")
        need((e["type"] == LINK) == (len(e["target"]) > 0), at, "a target without a symlink, or the other way round")
        need(len(e["target"]) <= 4096 and 0 not in e["target"], at, "no possible target")
        properties(e, at)
    return out


def properties(e, at):
    """What an entry says of a file beside its bytes keeps its limits."""
    def ascending(names):
        return all(a < b for a, b in zip(names, names[1:]))
    need(len(e["owner"].encode()) <= 256 and len(e["group"].encode()) <= 256 and e["uid"] < 1 << 32 > e["gid"], at, "owner")
    need(e["type"] == FILE or not (e["link"] or e["holes"] or e["streams"]), at, "what only files have")
    need(not e["device"] or TYPES[e["type"]] in ("chardev", "blockdev"), at, "a number of a device")
    need(e["flags"] < 128, at, "flags")
    xattrs = e["xattrs"]
    need(len(xattrs) <= 256 and ascending([n for n, _ in xattrs]), at, "extended attributes")
    need(all(1 <= len(n) <= 255 and 0 not in n and len(v) <= 64 << 10 for n, v in xattrs), at, "extended attributes")
    need(sum(len(n) + len(v) for n, v in xattrs) <= MiB, at, "extended attributes")
    need(len(e["holes"]) <= 8192, at, "holes")
    end = -1
    for offset, length in e["holes"]:
        need(offset > end and length > 0 and offset + length <= e["size"], at, "holes")
        end = offset + length
    need(len(e["streams"]) <= 64 and ascending([n for n, _ in e["streams"]]), at, "streams")
    for n, s in e["streams"]:
        need(n.decode("utf-8", "ignore").encode() == n and 1 <= len(n) <= 1024 and not set(n) & set(b"/\\:\0"), at, "a stream's name")
        need(s["depth"] <= 3 and len(s["ids"]) % 32 == 0, at, "a stream's content")
        need((s["size"] > 0) == (len(s["ids"]) > 0) and (s["ids"] or not s["depth"]), at, "a stream's content")


def walk(repo, id, path=b"", level=1):
    """Every entry below a node, with its path, directories before what is in them."""
    need(level <= 255, text(path), "more than 255 levels")
    for e in entries(repo, id, f"node {id.hex()}: {text(path)}"):
        p = path + b"/" + e["name"] if path else e["name"]
        yield p, e
        if e["type"] == DIR:
            yield from walk(repo, e["node"], p, level + 1)


def content(repo, e, what):
    """The bytes of a file, chunk by chunk; together as long as its size."""
    def expand(ids, depth):
        for i in range(0, len(ids), 32):
            c = repo.chunk(ids[i:i + 32], what)
            if depth == 0:
                yield c
                continue
            need(len(c) % 32 == 0 and 1 <= len(c) // 32 <= 4096, what, "a list that is none")
            yield from expand(c, depth - 1)
    total = 0
    for c in expand(e["ids"], e["depth"]):
        total += len(c)
        yield c
    need(total == e["size"], what, f"has {total} bytes and not {e['size']}")


def manifest(repo, s):
    """The manifest of a snapshot, compared with what the ledger says of it, but for parents: others take the place of
    those that were forgotten."""
    what = f"snapshot {s[1].hex()}"
    m = fit(decode(repo.chunk(s[1], what), what), MANIFEST, what)
    need(len(m["nonce"]) == 16 and m["workspace"] == s[2] and m["root"] == s[7]
         and m["files"] == s[8] and m["bytes"] == s[9], what, "the manifest and the ledger differ")
    return m


# ---- commands -----------------------------------------------------------------------------------------------------

def text(b):
    """Bytes or text for a line of output: what is no printable UTF-8 as \\xNN."""
    s = b.decode("utf-8", "backslashreplace") if isinstance(b, bytes) else b
    return "".join(c if c.isprintable() else c.encode().decode("latin-1").encode("unicode_escape").decode() for c in s)


def moment(ns):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9)) + f".{ns % 10**9:09d}Z"


def find(repo, prefix):
    hits = [s for s in repo.ledger.snapshots() if s[1].hex().startswith(prefix)]
    if len(hits) != 1:
        raise SystemExit(f"reader: {prefix}: names {len(hits)} snapshots")
    repo.load()
    return hits[0]


def cmd_list(repo, args):
    for s in repo.ledger.snapshots():
        name = repo.ledger.state.get(3, s[2])[2]
        print(s[1].hex(), moment(s[4]), text(name), s[8], s[9], sep="\t")


def cmd_ls(repo, args):
    s = find(repo, args.snapshot)
    for path, e in walk(repo, manifest(repo, s)["root"]):
        print(TYPES[e["type"]], f"{e['mode']:04o}", e["size"], moment(e["mtime"]), text(path), sep="\t")


def cmd_extract(repo, args):
    s = find(repo, args.snapshot)
    m, top, dirs, links = manifest(repo, s), os.fsencode(args.dir), [], {}
    os.makedirs(top, exist_ok=True)
    if os.listdir(top):
        raise SystemExit(f"reader: {args.dir}: is not empty")
    for path, e in walk(repo, m["root"]):
        to = os.path.join(top, path)
        if e["link"] in links:
            os.link(links[e["link"]], to, follow_symlinks=False)
            continue
        if e["type"] == FILE:
            with open(to, "xb") as f:
                for c in content(repo, e, text(path)):
                    f.write(c)
        elif e["type"] == DIR:
            os.mkdir(to, 0o700)
            dirs.append((to, e))
            continue
        elif e["type"] == LINK:
            os.symlink(e["target"], to)
        else:
            print(f"reader: {text(path)}: a special file, passed over", file=sys.stderr)
            continue
        if e["link"]:
            links[e["link"]] = to
        finish(to, e)
    for to, e in reversed(dirs):        # after what is in them, as that changes their times
        finish(to, e)


def finish(to, e):
    if e["type"] != LINK:
        os.chmod(to, e["mode"])
    os.utime(to, ns=(e["mtime"], e["mtime"]), follow_symlinks=False)


def cmd_check(repo, args):
    led, st = repo.ledger, repo.ledger.state
    notes = led.voids + [f"{n}: no name of this format" for n in repo.strange]
    if led.unvouched:
        raise led.unvouched

    def whole(name):
        return Object(repo.id, name, name[0], repo.read(name), repo.keys).whole()

    # All objects are what their names say, and the whole ones open.
    known = {f"k/{g}/{sha(b'satchel slot' + e[1][0] + struct.pack('>I', g))[:16].hex()}"
             for e in st.of(7) for g in repo.keys}
    live = {packname(e[1]) for e in st.of(4)}
    for name in sorted(repo.names):
        data = repo.read(name)
        if name[0] == "a":
            fit(decode(whole(name), name), DETAIL, name)
        elif name[0] == "i" or name.startswith("s/"):
            whole(name)
        elif name[0] in "dt" and name not in live:
            notes.append(f"{name}: not registered")
        elif name.startswith("k/p/"):
            need(data[:8] == b"satchelp" and data[8:9] in (b"\2", b"\3"), name, "not the wrapped keys of a person")
            need(data[9:].startswith(b"age-encryption.org/v1\n-> scrypt "), name, "no age file with scrypt")
        elif name[0] == "k" and not name.endswith("/ring"):
            need(data.startswith(b"age-encryption.org/v1\n"), name, "no age file")
            if name not in known:
                notes.append(f"{name}: a slot that the ledger does not know")
    # The object of a checkpoint is the state that was folded here from the first entry on.
    # That of an older one may have been deleted.
    for n, id, payload in led.checkpoints:
        if "s/" + id.hex() not in repo.names and (n, id, payload) not in led.checkpoints[-2:]:
            continue
        need(whole("s/" + id.hex()) == payload, "s/" + id.hex(), f"not State({n})")
    # Every directory, wherever it stands, is the registered one; every frame opens.
    repo.load()
    for key, (n, enc) in led.encodings.items():
        Directory(enc, f"entry {n}: {packname(key)}")
    for e in st.of(5):
        segment("i/" + e[1].hex(), whole("i/" + e[1].hex()), st)
    for e in st.of(4):
        pack = repo.pack(packname(e[1]))
        for i in range(len(pack.directory.frames)):
            pack.frame(repo, i)
    # Every tree, and that each file is as long as its entry says.
    for s in led.snapshots():
        m, files, size = manifest(repo, s), 0, 0
        for path, e in walk(repo, m["root"]):
            what = f"snapshot {s[1].hex()[:12]}: {text(path)}"
            files, size = files + (e["type"] != DIR), size + e["size"]
            for _ in content(repo, e, what):
                pass
            for name, stream in e["streams"]:
                for _ in content(repo, stream, f"{what}: stream {text(name)}"):
                    pass
        need((files, size) == (m["files"], m["bytes"]), f"snapshot {s[1].hex()}",
             f"{files} files of {size} bytes, and not {m['files']} of {m['bytes']}")
    for n in notes:
        print("note:", n)
    print(f"sound: {led.head} entries, {len(led.checkpoints)} checkpoints, {len(live)} packs, "
          f"{len(led.snapshots())} snapshots")


def segment(name, data, st):
    """An index segment [3]."""
    need(len(data) >= 4 and any(data[:4]), name, "no count")
    pos, last = 4, b""
    for _ in range(int.from_bytes(data[:4], "big")):
        need(pos + 69 <= len(data), name, "ends early")
        key, size, n = data[pos:pos + 57], *struct.unpack(">QI", data[pos + 57:pos + 69])
        enc, pos = data[pos + 69:pos + 69 + n], pos + 69 + n
        need(pos <= len(data) and key > last, name, "ends early, or its packs do not ascend")
        last, e = key, st.get(4, key)
        need(not e or e[2:4] == [size, sha(enc)], name, f"{packname(key)}: not as the ledger registers it")
        Directory(enc, name)
    need(pos == len(data), name, "bytes after the last pack")


def main():
    p = argparse.ArgumentParser(prog="reader.py")
    p.add_argument("repo")
    p.add_argument("--kek", required=True, type=bytes.fromhex)
    p.add_argument("--generation", type=int)
    sub = p.add_subparsers(dest="command", required=True)
    sub.add_parser("list").set_defaults(run=cmd_list)
    ls = sub.add_parser("ls")
    ls.add_argument("snapshot")
    ls.set_defaults(run=cmd_ls)
    ex = sub.add_parser("extract")
    ex.add_argument("snapshot")
    ex.add_argument("dir")
    ex.set_defaults(run=cmd_extract)
    sub.add_parser("check").set_defaults(run=cmd_check)
    try:
        args = p.parse_args()
    except SystemExit as e:
        sys.exit(1 if e.code else 0)
    try:
        args.run(Repository(args.repo, args.kek, args.generation), args)
    except Damage as e:
        print(f"reader: {e}", file=sys.stderr)
        sys.exit(6)
    except (TooNew, OSError) as e:
        print(f"reader: {e}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
