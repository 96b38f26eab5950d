package ledger

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/store/canon"
	"satchel/store/pack"
	"satchel/store/seal"
)

// peopled is a repository with a history: two workspaces, one with two heads, packs, a
// segment, and a checkpoint that moved the horizon to 4.
//
//	1 genesis
//	2 office: snapshot 1 of clinicWork, pack 1
//	3 home:   snapshot 2 after it
//	4 home:   snapshot 3 after 1, as a new head
//	5 office: snapshot 4 of homeWork
//	6 clinic: registers pack 2 and a segment
//	7 office: checkpoint, horizon 4
func peopled(t testing.TB) *repo {
	r, p := found(t), people()
	add := func(author *seal.Identity, kind Kind, content any) {
		t.Helper()
		s := r.state()
		raw := draftOf(s, author, kind, content).seal()
		e := ok(openEntry(raw, s.position+1, testKeys))
		if _, err := s.judge(e); err != nil {
			t.Fatal(err)
		}
		r.put(raw)
	}
	first := commitOf(1, clinicWork)
	first.Packs = []PackRef{packRef(1, 1, []byte("directory"))}
	first.Remote = "example.com/clinic"
	add(p.office, Commit, first)
	after := func(n byte, flags uint64, parents ...pack.ID) CommitContent {
		c := commitOf(n, clinicWork, parents...)
		c.Remote, c.Flags = first.Remote, flags
		return c
	}
	add(p.home, Commit, after(2, 0, pack.ID{0xcc, 1}))
	add(p.home, Commit, after(3, FlagNewHead, pack.ID{0xcc, 1}))
	other := commitOf(4, homeWork)
	other.Name = "home"
	add(p.office, Commit, other)
	add(p.clinic, Register, RegisterContent{Packs: []PackRef{packRef(5, 2, nil)}, Segments: []Hash{{7}}})
	s := r.state()
	add(p.office, Checkpoint, CheckpointContent{Covers: s.position, Object: Hash{1}, Payload: sumOf(s.Payload()), Horizon: 4})
	return r
}

// ruleCase is an entry after peopled, and what becomes of it.
type ruleCase struct {
	author  *seal.Identity // office if nil
	kind    Kind
	content any
	change  func(d *entryDraft, s *State)
	inject  func(s *State) // what no entry of today could bring about
	raw     func(b []byte) []byte
	void    string // why, or part of it; "" if the entry is valid
}

// next is a snapshot that the rules allow after peopled.
func next(change ...func(c *CommitContent)) CommitContent {
	c := commitOf(9, clinicWork, pack.ID{0xcc, 2})
	c.Remote = "example.com/clinic"
	for _, f := range change {
		f(&c)
	}
	return c
}

func registers(change func(p *PackRef)) RegisterContent {
	p := packRef(7, 9, []byte("new directory"))
	change(&p)
	return RegisterContent{Packs: []PackRef{p}}
}

func with(b []byte, name string) []byte { return append(bytes.Clone(b), name...) }

func ruleCases() map[string]ruleCase {
	p := people()
	type (
		commitFunc = func(c *CommitContent)
		draftFunc  = func(d *entryDraft, s *State)
		stateFunc  = func(s *State)
	)
	commit := func(f commitFunc) any { return next(f) }
	enrol := func(f func(n *seal.Principal)) any {
		c := EnrolContent{p.late.Principal}
		f(&c.Principal)
		return c
	}
	sameNew := func(*seal.Principal) {}
	by := func(ids ...*seal.Identity) draftFunc { return func(d *entryDraft, _ *State) { d.signers = ids } }
	checkpoint := func(s *State, f func(c *CheckpointContent)) []byte {
		c := CheckpointContent{Covers: s.position, Object: Hash{2}, Payload: sumOf(s.Payload()), Horizon: s.scalars.Horizon}
		f(&c)
		return canon.Marshal(c)
	}
	ckpt := func(f func(c *CheckpointContent)) draftFunc {
		return func(d *entryDraft, s *State) { d.Content = checkpoint(s, f) }
	}
	kill := func(name string, at uint64) stateFunc {
		return func(s *State) { put(s, s.dead, name, DeadName{Tag: tagDead, Name: name, Position: at}) }
	}
	return map[string]ruleCase{
		// What holds for every kind.
		"garbage":                    {raw: func([]byte) []byte { return []byte("garbage") }, void: "does not open"},
		"nothing":                    {raw: func([]byte) []byte { return nil }, void: "does not open"},
		"flipped bit":                {raw: func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, void: "does not open"},
		"cut off":                    {raw: func(b []byte) []byte { return b[:len(b)-1] }, void: "does not open"},
		"longer than an entry":       {raw: func(b []byte) []byte { return append(b, make([]byte, maxEntry)...) }, void: "does not open"},
		"sealed for another place":   {change: func(d *entryDraft, s *State) { d.at = 9 }, void: "does not open"},
		"sealed by another key":      {change: func(d *entryDraft, s *State) { d.keys = ok(seal.NewKeyring(fixed(9))).Keys(testRepo) }, void: "does not open"},
		"sealed for another repo":    {change: func(d *entryDraft, s *State) { d.keys = testRing.Keys(seal.RepoID{9}) }, void: "does not open"},
		"generation to come":         {change: func(d *entryDraft, s *State) { d.keys = nextKeys }, void: "does not open"},
		"generation 0":               {raw: func(b []byte) []byte { b[15] = 0; return b }, void: "does not open"},
		"envelope cut off":           {change: func(d *entryDraft, s *State) { d.payload = func(b []byte) []byte { return b[:len(b)-1] } }, void: "does not open"},
		"envelope with a trailer":    {change: func(d *entryDraft, s *State) { d.payload = func(b []byte) []byte { return append(b, 0) } }, void: "does not open"},
		"envelope of three":          {change: func(d *entryDraft, s *State) { d.payload = func(b []byte) []byte { b[0]++; return append(b, 0) } }, void: "does not open"},
		"empty payload":              {change: func(d *entryDraft, s *State) { d.payload = func(b []byte) []byte { return nil } }, void: "does not open"},
		"no signature":               {change: by(), void: "does not open"},
		"body with a trailer":        {change: func(d *entryDraft, s *State) { d.body = func(b []byte) []byte { return append(b, 0) } }, void: "does not open"},
		"body with a zero written":   {change: func(d *entryDraft, s *State) { d.body = zeroWritten }, void: "does not open"},
		"other repository":           {change: func(d *entryDraft, s *State) { d.Repository[0]++ }, void: "another repository"},
		"position of the one before": {change: func(d *entryDraft, s *State) { d.Position-- }, void: "after another entry"},
		"position of the one after":  {change: func(d *entryDraft, s *State) { d.Position++ }, void: "after another entry"},
		"prev is another":            {change: func(d *entryDraft, s *State) { d.Prev[31] ^= 1 }, void: "after another entry"},
		"prev is missing":            {change: func(d *entryDraft, s *State) { d.Prev = Hash{} }, void: "after another entry"},
		"another state":              {change: func(d *entryDraft, s *State) { d.State[0] ^= 1 }, void: "another state"},
		"no state":                   {change: func(d *entryDraft, s *State) { d.State = Hash{} }, void: "another state"},
		"by a stranger":              {author: p.stranger, void: "not enrolled"},
		"by who was revoked": {author: p.home, void: "revoked", inject: func(s *State) {
			m := s.members[p.home.Principal.ID]
			m.Revoked = 7
			put(s, s.members, p.home.Principal.ID, m)
		}},
		"signed by another": {change: func(d *entryDraft, s *State) {
			d.env = func(e *envelope) { e.Signatures[0].Signer = p.home.Principal.ID }
			d.Sequence = s.members[p.home.Principal.ID].Sequence + 1
		}, void: "signature"},
		"signature of nothing":  {change: func(d *entryDraft, s *State) { d.env = func(e *envelope) { e.Signatures[0].Bytes = nil } }, void: "signature"},
		"signature with a flip": {change: func(d *entryDraft, s *State) { d.env = func(e *envelope) { e.Signatures[0].Bytes[9] ^= 1 } }, void: "signature"},
		"signature of another body": {change: func(d *entryDraft, s *State) {
			d.env = func(e *envelope) { e.Signatures[0].Bytes = p.office.Sign(with([]byte(signingContext), "other")) }
		}, void: "signature"},
		"signature with no context": {change: func(d *entryDraft, s *State) {
			d.env = func(e *envelope) { e.Signatures[0].Bytes = p.office.Sign(e.Body) }
		}, void: "signature"},
		"sequence repeats":     {change: func(d *entryDraft, s *State) { d.Sequence-- }, void: "sequence"},
		"sequence jumps":       {change: func(d *entryDraft, s *State) { d.Sequence++ }, void: "sequence"},
		"time stands still":    {change: func(d *entryDraft, s *State) { d.Time-- }, void: "time"},
		"time goes back":       {change: func(d *entryDraft, s *State) { d.Time = 1 }, void: "time"},
		"time before 1970":     {change: func(d *entryDraft, s *State) { d.Time = -1 << 63 }, void: "time"},
		"checkpoint of before": {change: func(d *entryDraft, s *State) { d.Checkpoint = 0 }, void: "checkpoint"},
		"checkpoint to come":   {change: func(d *entryDraft, s *State) { d.Checkpoint = 8 }, void: "checkpoint"},
		"two signatures":       {change: by(p.office, p.home), void: "2 signatures"},
		"two signatures, void second": {change: func(d *entryDraft, s *State) {
			by(p.office, p.home)(d, s)
			d.env = func(e *envelope) { e.Signatures[1].Bytes = nil }
		}, void: "2 signatures"},
		"a second genesis":        {kind: Genesis, content: GenesisContent{[]seal.Principal{p.office.Principal}}, void: "genesis"},
		"content with a trailer":  {change: func(d *entryDraft, s *State) { d.Content = append(d.Content, 0) }, void: "content"},
		"content of another kind": {kind: Enrol, content: registers(func(*PackRef) {}), change: by(p.office, p.late), void: "content"},
		"content is missing":      {change: func(d *entryDraft, s *State) { d.Content = nil }, void: "content"},

		// COMMIT
		"commit":                         {content: next()},
		"commit by another device":       {author: p.clinic, content: next()},
		"commit after the other head":    {content: commit(func(c *CommitContent) { c.Parents = []pack.ID{{0xcc, 3}} })},
		"commit that merges":             {content: commit(func(c *CommitContent) { c.Parents = []pack.ID{{0xcc, 3}, {0xcc, 2}} })},
		"commit that merges what is old": {content: commit(func(c *CommitContent) { c.Parents = []pack.ID{{0xcc, 3}, {0xcc, 1}} })},
		"commit as a new head":           {content: commit(func(c *CommitContent) { c.Parents, c.Flags = []pack.ID{{0xcc, 1}}, FlagNewHead })},
		"commit of nothing, new head":    {content: commit(func(c *CommitContent) { c.Parents, c.Flags = nil, FlagNewHead })},
		"safety":                         {content: commit(func(c *CommitContent) { c.Parents, c.Flags = []pack.ID{{0xcc, 1}}, FlagSafety })},
		"safety without a parent":        {content: commit(func(c *CommitContent) { c.Parents, c.Flags = nil, FlagSafety })},
		"safety as a new head":           {content: commit(func(c *CommitContent) { c.Flags = FlagNewHead | FlagSafety }), void: "no head"},
		"safety of a new workspace": {content: commit(func(c *CommitContent) {
			c.Workspace, c.Parents, c.Flags = Workspace{3}, nil, FlagSafety
		}), void: "no head"},
		"commit of a new workspace": {content: commit(func(c *CommitContent) { c.Workspace, c.Parents = Workspace{3}, nil })},
		"longest names": {content: commit(func(c *CommitContent) {
			c.Workspace, c.Parents, c.Name, c.Remote = Workspace{3}, nil, strings.Repeat("é", 64), strings.Repeat("r", 1024)
		})},
		"commit with packs": {content: commit(func(c *CommitContent) {
			c.Packs, c.Segments = []PackRef{packRef(7, 9, nil), packRef(4, 8, []byte("d"))}, []Hash{{8}, {7}}
		})},
		"commit without the right":      {author: p.passphrase, content: next(), void: "right"},
		"snapshot is there already":     {content: commit(func(c *CommitContent) { c.Snapshot = pack.ID{0xcc, 1} }), void: "already"},
		"snapshot is there, other work": {content: commit(func(c *CommitContent) { c.Snapshot = pack.ID{0xcc, 4} }), void: "already"},
		"snapshot of zeros":             {content: commit(func(c *CommitContent) { c.Snapshot = pack.ID{} }), void: "missing"},
		"root of zeros":                 {content: commit(func(c *CommitContent) { c.Root = pack.ID{} }), void: "missing"},
		"workspace of zeros":            {content: commit(func(c *CommitContent) { c.Workspace, c.Parents = Workspace{}, nil }), void: "missing"},
		"workspace without a name":      {content: commit(func(c *CommitContent) { c.Workspace, c.Parents, c.Name = Workspace{3}, nil, "" }), void: "name"},
		"name too long":                 {content: commit(func(c *CommitContent) { c.Workspace, c.Parents, c.Name = Workspace{3}, nil, strings.Repeat("n", 129) }), void: "name"},
		"name with a control character": {content: commit(func(c *CommitContent) { c.Workspace, c.Parents, c.Name = Workspace{3}, nil, "a\x1b[2J" }), void: "name"},
		"remote too long": {content: commit(func(c *CommitContent) {
			c.Workspace, c.Parents, c.Remote = Workspace{3}, nil, strings.Repeat("r", 1025)
		}), void: "name"},
		"workspace renamed":               {content: commit(func(c *CommitContent) { c.Name = "other" }), void: "renames"},
		"remote changed":                  {content: commit(func(c *CommitContent) { c.Remote = "" }), void: "renames"},
		"parent unknown":                  {content: commit(func(c *CommitContent) { c.Parents = []pack.ID{{0xcc, 77}} }), void: "parent"},
		"parent unknown, new head":        {content: commit(func(c *CommitContent) { c.Parents, c.Flags = []pack.ID{{0xcc, 77}}, FlagNewHead }), void: "parent"},
		"parent of another workspace":     {content: commit(func(c *CommitContent) { c.Parents = append(c.Parents, pack.ID{0xcc, 4}) }), void: "parent"},
		"parent twice":                    {content: commit(func(c *CommitContent) { c.Parents = append(c.Parents, c.Parents[0]) }), void: "parent"},
		"parent is the snapshot itself":   {content: commit(func(c *CommitContent) { c.Parents = append(c.Parents, c.Snapshot) }), void: "parent"},
		"parent is no head":               {content: commit(func(c *CommitContent) { c.Parents = []pack.ID{{0xcc, 1}} }), void: "fast-forward"},
		"second parent is the head":       {content: commit(func(c *CommitContent) { c.Parents = []pack.ID{{0xcc, 1}, {0xcc, 2}} }), void: "fast-forward"},
		"no parent where there are heads": {content: commit(func(c *CommitContent) { c.Parents = nil }), void: "fast-forward"},
		"commit with a bad pack":          {content: commit(func(c *CommitContent) { c.Packs = []PackRef{{}} }), void: "pack 0"},

		// REG
		"register":                     {kind: Register, content: registers(func(*PackRef) {})},
		"register nothing":             {kind: Register, content: RegisterContent{}},
		"register a tree pack":         {kind: Register, content: registers(func(p *PackRef) { p.Key[0] = 't' })},
		"register again":               {kind: Register, content: RegisterContent{Packs: []PackRef{packRef(5, 2, nil)}, Segments: []Hash{{7}}}},
		"register of a session at 4":   {kind: Register, content: registers(func(p *PackRef) { p.Key[8] = 4 })},
		"register without the right":   {author: p.passphrase, kind: Register, content: registers(func(*PackRef) {}), void: "right"},
		"session before the horizon":   {kind: Register, content: registers(func(p *PackRef) { p.Key[8] = 3 }), void: "session"},
		"again, before the horizon":    {kind: Register, content: RegisterContent{Packs: []PackRef{packRef(1, 1, []byte("directory"))}}, void: "session"},
		"session that begins here":     {kind: Register, content: registers(func(p *PackRef) { p.Key[8] = 8 }), void: "session"},
		"session to come":              {kind: Register, content: registers(func(p *PackRef) { p.Key[1] = 0x80 }), void: "session"},
		"kind of no pack":              {kind: Register, content: registers(func(p *PackRef) { p.Key[0] = 'i' }), void: "impossible"},
		"size of nothing":              {kind: Register, content: registers(func(p *PackRef) { p.Size = 0 }), void: "impossible"},
		"size below zero":              {kind: Register, content: registers(func(p *PackRef) { p.Size = -1024 }), void: "impossible"},
		"size not padded":              {kind: Register, content: registers(func(p *PackRef) { p.Size = 1025 }), void: "impossible"},
		"larger than a pack":           {kind: Register, content: registers(func(p *PackRef) { p.Size = 128 << 20 }), void: "impossible"},
		"largest pack":                 {kind: Register, content: registers(func(p *PackRef) { p.Size = 64 << 20 })},
		"directory of another hash":    {kind: Register, content: registers(func(p *PackRef) { p.Directory = []byte("other") }), void: "hash"},
		"registered with another size": {kind: Register, content: RegisterContent{Packs: []PackRef{{Key: packRef(5, 2, nil).Key, Size: 2048, Hash: packRef(5, 2, nil).Hash}}}, void: "otherwise"},
		"registered with another hash": {kind: Register, content: RegisterContent{Packs: []PackRef{{Key: packRef(5, 2, nil).Key, Size: 1024, Hash: Hash{1}}}}, void: "otherwise"},
		"pack twice in an entry":       {kind: Register, content: RegisterContent{Packs: []PackRef{packRef(7, 9, nil), packRef(7, 9, nil)}}, void: "twice"},
		"second pack of three is bad":  {kind: Register, content: RegisterContent{Packs: []PackRef{packRef(7, 9, nil), {}, packRef(7, 8, nil)}}, void: "pack 1"},
		"dead pack":                    {kind: Register, content: registers(func(*PackRef) {}), inject: kill(packRef(7, 9, nil).Key.Name(), 5), void: "dead"},
		"dead segment":                 {kind: Register, content: RegisterContent{Segments: []Hash{{9}, {8}}}, inject: kill(SegmentName(Hash{8}), 5), void: "segment 1"},
		"dead segment in a commit":     {content: commit(func(c *CommitContent) { c.Segments = []Hash{{8}} }), inject: kill(SegmentName(Hash{8}), 5), void: "segment 0"},

		// ENROLL
		"enrol":                    {kind: Enrol, content: enrol(sameNew), change: by(p.office, p.late)},
		"enrol by the passphrase":  {author: p.passphrase, kind: Enrol, content: enrol(sameNew), change: by(p.passphrase, p.late)},
		"enrol by who is no admin": {author: p.helper, kind: Enrol, content: enrol(sameNew), change: by(p.helper, p.late)},
		"enrol an admin":           {kind: Enrol, content: EnrolContent{p.stranger.Principal}, change: by(p.office, p.stranger)},
		"enrol without the right":  {author: p.home, kind: Enrol, content: enrol(sameNew), change: by(p.home, p.late), void: "right"},
		"enrol an admin as none":   {author: p.helper, kind: Enrol, content: EnrolContent{p.stranger.Principal}, change: by(p.helper, p.stranger), void: "grant"},
		"enrol with one signature": {kind: Enrol, content: enrol(sameNew), void: "1 signatures"},
		"enrol with three":         {kind: Enrol, content: enrol(sameNew), change: by(p.office, p.late, p.home), void: "3 signatures"},
		"enrol, second by another": {kind: Enrol, content: enrol(sameNew), change: by(p.office, p.stranger), void: "new principal's signature"},
		"enrol, the sponsor twice": {kind: Enrol, content: enrol(sameNew), change: by(p.office, p.office), void: "new principal's signature"},
		"enrol, second in a wrong name": {kind: Enrol, content: enrol(sameNew), change: func(d *entryDraft, s *State) {
			by(p.office, p.stranger)(d, s)
			d.env = func(e *envelope) { e.Signatures[1].Signer = p.late.Principal.ID }
		}, void: "new principal's signature"},
		"enrol, second under another id": {kind: Enrol, content: enrol(sameNew), change: func(d *entryDraft, s *State) {
			by(p.office, p.late)(d, s)
			d.env = func(e *envelope) { e.Signatures[1].Signer = p.home.Principal.ID }
		}, void: "new principal's signature"},
		"enrol, second does not verify": {kind: Enrol, content: enrol(sameNew), change: func(d *entryDraft, s *State) {
			by(p.office, p.late)(d, s)
			d.env = func(e *envelope) { e.Signatures[1].Bytes[0] ^= 1 }
		}, void: "new principal's signature"},
		"enrol who is there":             {kind: Enrol, content: EnrolContent{p.home.Principal}, change: by(p.office, p.home), void: "known already"},
		"enrol an id that is there":      {kind: Enrol, content: enrol(func(n *seal.Principal) { n.ID = p.home.Principal.ID }), change: by(p.office, p.late), void: "known already"},
		"enrol a key that is there":      {kind: Enrol, content: enrol(func(n *seal.Principal) { n.Verify = p.home.Principal.Verify }), change: by(p.office, p.home), void: "known already"},
		"enrol a kind that is none":      {kind: Enrol, content: enrol(func(n *seal.Principal) { n.Kind = 6 }), change: by(p.office, p.late), void: "new principal"},
		"enrol rights that are none":     {kind: Enrol, content: enrol(func(n *seal.Principal) { n.Rights = 16 }), change: by(p.office, p.late), void: "new principal"},
		"enrol without a name":           {kind: Enrol, content: enrol(func(n *seal.Principal) { n.Name = "" }), change: by(p.office, p.late), void: "new principal"},
		"enrol without an id":            {kind: Enrol, content: enrol(func(n *seal.Principal) { n.ID = seal.ID{} }), change: by(p.office, p.late), void: "new principal"},
		"enrol a recipient that is none": {kind: Enrol, content: enrol(func(n *seal.Principal) { n.Recipient = "age1x" }), change: by(p.office, p.late), void: "new principal"},
		"enrol nobody":                   {kind: Enrol, content: EnrolContent{}, change: by(p.office, p.late), void: "new principal"},

		// CKPT
		"checkpoint":                     {kind: Checkpoint, content: rawContent{}, change: ckpt(func(*CheckpointContent) {})},
		"checkpoint by another device":   {author: p.clinic, kind: Checkpoint, content: rawContent{}, change: ckpt(func(c *CheckpointContent) { c.Segments = []Hash{{8}} })},
		"checkpoint, horizon here":       {kind: Checkpoint, content: rawContent{}, change: ckpt(func(c *CheckpointContent) { c.Horizon = 8 })},
		"checkpoint, a name leaves":      {kind: Checkpoint, content: rawContent{}, change: ckpt(func(c *CheckpointContent) { c.Horizon, c.Leave = 6, []string{"i/dead"} }), inject: kill("i/dead", 5)},
		"checkpoint without the right":   {author: p.passphrase, kind: Checkpoint, content: rawContent{}, change: ckpt(func(*CheckpointContent) {}), void: "right"},
		"checkpoint of the state before": {kind: Checkpoint, content: rawContent{}, change: ckpt(func(c *CheckpointContent) { c.Covers-- }), void: "state"},
		"checkpoint of itself":           {kind: Checkpoint, content: rawContent{}, change: ckpt(func(c *CheckpointContent) { c.Covers++ }), void: "state"},
		"checkpoint of another payload":  {kind: Checkpoint, content: rawContent{}, change: ckpt(func(c *CheckpointContent) { c.Payload[0] ^= 1 }), void: "state"},
		"checkpoint, horizon goes back":  {kind: Checkpoint, content: rawContent{}, change: ckpt(func(c *CheckpointContent) { c.Horizon = 3 }), void: "horizon"},
		"checkpoint, horizon ahead":      {kind: Checkpoint, content: rawContent{}, change: ckpt(func(c *CheckpointContent) { c.Horizon = 9 }), void: "horizon"},
		"checkpoint, living name leaves": {kind: Checkpoint, content: rawContent{}, change: ckpt(func(c *CheckpointContent) { c.Horizon, c.Leave = 8, []string{"i/living"} }), void: "leaves"},
		"checkpoint, name leaves early":  {kind: Checkpoint, content: rawContent{}, change: ckpt(func(c *CheckpointContent) { c.Horizon, c.Leave = 5, []string{"i/dead"} }), inject: kill("i/dead", 5), void: "leaves"},
		"checkpoint, a dead segment":     {kind: Checkpoint, content: rawContent{}, change: ckpt(func(c *CheckpointContent) { c.Segments = []Hash{{8}} }), inject: kill(SegmentName(Hash{8}), 5), void: "segment"},

		// What a newer satchel may add.
		"ignorable kind":              {kind: 0x80, content: "anything"},
		"last ignorable kind":         {kind: 0xff, content: rawContent("not even canonical")},
		"ignorable, two signatures":   {kind: 0x81, content: "anything", change: by(p.office, p.stranger)},
		"ignorable, three signatures": {kind: 0x81, content: "anything", change: by(p.office, p.home, p.clinic)},
		"ignorable without any right": {author: p.passphrase, kind: 0x81, content: "anything"},
		"ignorable by a stranger":     {author: p.stranger, kind: 0x81, content: "anything", void: "not enrolled"},
		"critical kind by a stranger": {author: p.stranger, kind: 0x20, content: "anything", void: "not enrolled"},
		"unknown key by a stranger":   {author: p.stranger, change: func(d *entryDraft, s *State) { d.body = unknownKey }, void: "not enrolled"},
		"unknown key, unsigned": {change: func(d *entryDraft, s *State) {
			d.body = unknownKey
			d.env = func(e *envelope) { e.Signatures[0].Bytes = nil }
		}, void: "not enrolled"},
		"unknown key without the right": {author: p.passphrase, content: rawContent(unknownKey(canon.Marshal(next()))), void: "right"},
	}
}

// unknownKey adds a key to a map that has fewer than 23.
func unknownKey(b []byte) []byte {
	b = append(bytes.Clone(b), 0x18, 99, 0x01)
	b[0]++
	return b
}

// zeroWritten writes the absent checkpoint, key 10, as 0.
func zeroWritten(b []byte) []byte {
	i := bytes.LastIndexByte(b, 0x0a)
	return append(bytes.Clone(b[:i]), 0x0a, 0x00)
}

func (c ruleCase) build(s *State) []byte {
	if c.author == nil {
		c.author = people().office
	}
	if c.kind == 0 {
		c.kind = Commit
	}
	if c.content == nil {
		c.content = next()
	}
	d := draftOf(s, c.author, c.kind, c.content)
	if c.change != nil {
		c.change(d, s)
	}
	b := d.seal()
	if c.raw != nil {
		b = c.raw(b)
	}
	return b
}

// One State, as every reader has it: what is void changes nothing but the position, what
// is valid changes what it says, and an entry after either is taken.
func TestRulesOfTheFold(t *testing.T) {
	base := peopled(t)
	for name, c := range everyCase() {
		t.Run(name, func(t *testing.T) {
			s := base.state()
			if c.inject != nil {
				c.inject(s)
			}
			raw := c.build(s)
			before, digest, was := s.Payload(), s.Digest(), s.head
			e, err := openEntry(raw, s.position+1, testKeys)
			if err != nil {
				e = nil
			}
			reason, err := s.step(e, sumOf(raw))
			switch {
			case err != nil:
				t.Fatal(err)
			case (c.void == "") != (reason == ""), !strings.Contains(reason, c.void):
				t.Fatalf("void because %q, want %q", reason, c.void)
			case s.position != 8 || s.head != link(was, sumOf(raw)):
				t.Errorf("at %d, head %x", s.position, s.head)
			case reason != "" && !bytes.Equal(s.Payload(), before):
				t.Error("a void entry changed the state")
			case reason == "" && bytes.Equal(s.Payload(), before):
				t.Error("a valid entry changed nothing")
			case s.Digest() == digest:
				t.Error("the digest is that of the entry before")
			}
			compareBalance(t, s)
			after := draftOf(s, people().home, ignored, "after")
			raw = after.seal()
			if reason, err := s.step(ok(openEntry(raw, 9, testKeys)), sumOf(raw)); reason != "" || err != nil {
				if !strings.Contains(name, "revoked") {
					t.Errorf("the next entry: %q, %v", reason, err)
				}
			}
		})
	}
}

// compareBalance folds nothing: it decodes the payload and sums up anew.
func compareBalance(t testing.TB, s *State) {
	t.Helper()
	again, err := parseState(s.Payload(), s.position, s.repo, s.secret)
	if err != nil {
		t.Fatal(err)
	}
	if again.Digest() != s.Digest() {
		t.Errorf("position %d: the balance kept is not the sum of the elements", s.position)
	}
}

// Readers alike: one that was there before, one that begins at entry 1, one that begins at a
// checkpoint after it; and the log goes on.
func TestEveryReaderSkipsTheSame(t *testing.T) {
	base, p := peopled(t), people()
	for name, c := range everyCase() {
		if c.inject != nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := base.branch()
			r.t = t
			follower := r.device(p.home)
			n := r.put(c.build(follower.State()))
			check(t, follower.Sync(ctx))
			var want []Void
			if c.void != "" {
				want = []Void{{n, ""}}
			}
			compare := func(who string, l *Log) {
				t.Helper()
				var got []Void
				for _, v := range l.Voids() {
					if !strings.Contains(v.Reason, c.void) {
						t.Errorf("%s: %q", who, v.Reason)
					}
					got = append(got, Void{v.Position, ""})
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s skips (-want +got):\n%s", who, diff)
				}
				if l.State().Digest() != follower.State().Digest() || l.State().Head() != follower.State().Head() {
					t.Errorf("%s: another state", who)
				}
			}
			compare("follower", follower)
			compare("new reader", r.device(nil))
			note(t, follower, p.home)
			compare("reader of what was appended after", r.device(p.clinic))
		})
	}
}

func TestStopsLeaveTheStateAlone(t *testing.T) {
	base, p := peopled(t), people()
	office := func(kind Kind, content any, change func(d *entryDraft)) func(s *State) []byte {
		return func(s *State) []byte {
			d := draftOf(s, p.office, kind, content)
			if change != nil {
				change(d)
			}
			return d.seal()
		}
	}
	flip := func(at int, to byte) func(s *State) []byte {
		return func(s *State) []byte {
			b := draftOf(s, p.office, Commit, next()).seal()
			b[at] = to
			return b
		}
	}
	for name, c := range map[string]struct {
		raw  func(s *State) []byte
		want error
	}{
		"kind 0":                     {office(0, "content", nil), ErrTooNew},
		"kind 0x20":                  {office(0x20, "content", nil), ErrTooNew},
		"kind 0x7f":                  {office(0x7f, "content", nil), ErrTooNew},
		"kind 0x20, two signers":     {office(0x20, "content", func(d *entryDraft) { d.signers = append(d.signers, p.home) }), ErrTooNew},
		"kind 0x20, three signers":   {office(0x20, "content", func(d *entryDraft) { d.signers = append(d.signers, p.home, p.clinic) }), ErrTooNew},
		"kind 0x20 by a passphrase":  {func(s *State) []byte { return draftOf(s, p.passphrase, 0x20, "content").seal() }, ErrTooNew},
		"unknown key in the body":    {office(Commit, next(), func(d *entryDraft) { d.body = unknownKey }), ErrTooNew},
		"unknown key, ignorable":     {office(0x90, "content", func(d *entryDraft) { d.body = unknownKey }), ErrTooNew},
		"unknown key in the content": {office(Commit, rawContent(unknownKey(canon.Marshal(next()))), nil), ErrTooNew},
		"unknown key in a REG":       {office(Register, rawContent(unknownKey(canon.Marshal(RegisterContent{}))), nil), ErrTooNew},
		"unknown key in an ENROLL":   {office(Enrol, rawContent(unknownKey(canon.Marshal(EnrolContent{p.late.Principal}))), func(d *entryDraft) { d.signers = append(d.signers, p.late) }), ErrTooNew},
		"unknown key in a CKPT":      {office(Checkpoint, rawContent(unknownKey(canon.Marshal(CheckpointContent{Covers: 7}))), nil), ErrTooNew},
		"unknown flag":               {office(Commit, next(func(c *CommitContent) { c.Flags = 4 }), nil), ErrTooNew},
		"unknown flag, no parent":    {office(Commit, next(func(c *CommitContent) { c.Flags, c.Parents = 4, nil }), nil), ErrTooNew},
		"format 2":                   {flip(8, 2), ErrTooNew},
		"suite 2":                    {flip(9, 2), ErrTooNew},
		"incompatible flag":          {flip(11, 1), ErrTooNew},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := base.branch()
			r.t = t
			l := r.device(p.home)
			before := l.State().Digest()
			r.put(c.raw(l.State()))
			for _, run := range []string{"first", "second"} {
				err := l.Sync(ctx)
				wantErr(t, run+" sync", err, c.want)
				if l.State().Digest() != before || l.State().Position() != 7 || len(l.Voids()) != 0 {
					t.Errorf("%s sync: at %d, voids %v", run, l.State().Position(), l.Voids())
				}
				if _, err := l.Append(ctx, p.home, ignored, func(*State) (any, error) { return "over it", nil }); !errors.Is(err, c.want) {
					t.Errorf("appended after the %s sync: %v", run, err)
				}
			}
			l = r.again(l, r.store)
			if l.State().Digest() != before {
				t.Error("the copy was changed")
			}
			wantErr(t, "next run", l.Sync(ctx), c.want)
			fresh := r.open(nil, t.TempDir()+"/ledger.db", r.store)
			wantErr(t, "new reader", fresh.Sync(ctx), c.want)
			if r.head() != 8 {
				t.Error("something was appended")
			}
		})
	}
}

// What this satchel does not know and may pass over moves sequence and time, and nothing else.
func TestIgnorableKindMovesSequenceAndTime(t *testing.T) {
	s, p := peopled(t).state(), people()
	want := ok(parseState(s.Payload(), s.position, s.repo, s.secret))
	d := draftOf(s, p.home, 0x80, "anything")
	d.Time += 1000
	raw := d.seal()
	if reason, err := s.step(ok(openEntry(raw, 8, testKeys)), sumOf(raw)); reason != "" || err != nil {
		t.Fatal(reason, err)
	}
	sc := want.scalars
	sc.Time += 1001
	want.setScalars(sc)
	m := want.members[p.home.Principal.ID]
	m.Sequence++
	put(want, want.members, p.home.Principal.ID, m)
	if !bytes.Equal(s.Payload(), want.Payload()) {
		t.Errorf("state\n%x, want\n%x", s.Payload(), want.Payload())
	}
}

func TestHeadsAfterCommits(t *testing.T) {
	for name, c := range map[string]struct {
		content CommitContent
		heads   []pack.ID
	}{
		"after one of two heads": {next(), []pack.ID{{0xcc, 3}, {0xcc, 9}}},
		"merge of both":          {next(func(c *CommitContent) { c.Parents = []pack.ID{{0xcc, 2}, {0xcc, 3}} }), []pack.ID{{0xcc, 9}}},
		"a head of its own":      {next(func(c *CommitContent) { c.Parents, c.Flags = nil, FlagNewHead }), []pack.ID{{0xcc, 2}, {0xcc, 3}, {0xcc, 9}}},
		"safety of a head":       {next(func(c *CommitContent) { c.Flags = FlagSafety }), []pack.ID{{0xcc, 2}, {0xcc, 3}}},
		"of the other workspace": {next(func(c *CommitContent) {
			c.Workspace, c.Name, c.Remote, c.Parents = homeWork, "home", "", []pack.ID{{0xcc, 4}}
		}), []pack.ID{{0xcc, 2}, {0xcc, 3}}},
	} {
		s := peopled(t).state()
		raw := draftOf(s, people().clinic, Commit, c.content).seal()
		if reason, err := s.step(ok(openEntry(raw, 8, testKeys)), sumOf(raw)); reason != "" || err != nil {
			t.Fatal(name, reason, err)
		}
		w, _ := s.Workspace(clinicWork)
		if diff := cmp.Diff(c.heads, w.Heads); diff != "" {
			t.Errorf("%s: heads (-want +got):\n%s", name, diff)
		}
		v, _ := s.Snapshot(pack.ID{0xcc, 9})
		want := Snapshot{Tag: tagSnapshot, ID: pack.ID{0xcc, 9}, Workspace: c.content.Workspace, Position: 8, Time: s.Time(), Author: people().clinic.Principal.ID,
			Parents: c.content.Parents, Root: c.content.Root, Files: 3, Bytes: 1000, NewBytes: 10, Flags: c.content.Flags}
		if diff := cmp.Diff(want, v); diff != "" {
			t.Errorf("%s: snapshot (-want +got):\n%s", name, diff)
		}
	}
}

func TestGenesisRules(t *testing.T) {
	p := people()
	s := newState(testRepo, testRing.Balance)
	draft := func(list []seal.Principal, change func(d *entryDraft)) *Entry {
		d := &entryDraft{Body: Body{Repository: testRepo, Position: 1, Sequence: 1, Time: 5, Kind: Genesis, Content: canon.Marshal(GenesisContent{list})},
			signers: []*seal.Identity{p.office}, keys: testKeys, at: 1}
		change(d)
		return ok(openEntry(d.seal(), 1, testKeys))
	}
	none := func(*entryDraft) {}
	both := []seal.Principal{p.office.Principal, p.home.Principal}
	bad := p.home.Principal
	bad.Name = ""
	for name, c := range map[string]struct {
		e    *Entry
		good bool
	}{
		"as it should be":      {draft(both, none), true},
		"founder alone":        {draft(both[:1], none), true},
		"no principal":         {draft(nil, none), false},
		"principal twice":      {draft(append(both, p.home.Principal), none), false},
		"impossible principal": {draft(append(both, bad), none), false},
		"founder is no device": {draft([]seal.Principal{p.passphrase.Principal}, func(d *entryDraft) { d.signers = []*seal.Identity{p.passphrase} }), false},
		"signed by the second": {draft(both, func(d *entryDraft) { d.signers = []*seal.Identity{p.home} }), false},
		"signed in its name": {draft(both, func(d *entryDraft) {
			d.signers = []*seal.Identity{p.home}
			d.env = func(e *envelope) { e.Signatures[0].Signer = p.office.Principal.ID }
		}), false},
		"two signatures":         {draft(both, func(d *entryDraft) { d.signers = append(d.signers, p.home) }), false},
		"sequence 2":             {draft(both, func(d *entryDraft) { d.Sequence = 2 }), false},
		"time 0":                 {draft(both, func(d *entryDraft) { d.Time = 0 }), false},
		"a state":                {draft(both, func(d *entryDraft) { d.State[0] = 1 }), false},
		"a checkpoint":           {draft(both, func(d *entryDraft) { d.Checkpoint = 1 }), false},
		"a predecessor":          {draft(both, func(d *entryDraft) { d.Prev[0] = 1 }), false},
		"another kind":           {draft(both, func(d *entryDraft) { d.Kind = Commit }), false},
		"ignorable kind":         {draft(both, func(d *entryDraft) { d.Kind = 0x80 }), false},
		"another repository":     {draft(both, func(d *entryDraft) { d.Repository[0] = 1 }), false},
		"content with a trailer": {draft(both, func(d *entryDraft) { d.Content = append(d.Content, 0) }), false},
		"does not open":          {nil, false},
	} {
		_, reason, err := s.verdict(c.e)
		if c.good != (err == nil) || reason != "" || !c.good && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %q, %v", name, reason, err)
		}
	}
	newer := draft(both, func(d *entryDraft) { d.body = unknownKey })
	if _, _, err := s.verdict(newer); !errors.Is(err, ErrTooNew) {
		t.Errorf("unknown key: %v", err)
	}
}

func TestDeadNameLeavesByACheckpoint(t *testing.T) {
	s := peopled(t).state()
	for _, name := range []string{"i/early", "i/stays"} {
		put(s, s.dead, name, DeadName{Tag: tagDead, Name: name, Position: 5})
	}
	c := ruleCase{kind: Checkpoint, content: rawContent{}, change: func(d *entryDraft, s *State) {
		d.Content = canon.Marshal(CheckpointContent{Covers: s.position, Object: Hash{2}, Payload: sumOf(s.Payload()), Horizon: 6, Leave: []string{"i/early"}})
	}}
	raw := c.build(s)
	if reason, err := s.step(ok(openEntry(raw, 8, testKeys)), sumOf(raw)); reason != "" || err != nil {
		t.Fatal(reason, err)
	}
	if s.Dead("i/early") || !s.Dead("i/stays") || s.Horizon() != 6 || s.SinceCheckpoint() != 0 {
		t.Errorf("early dead %v, stays dead %v, horizon %d, %d since", s.Dead("i/early"), s.Dead("i/stays"), s.Horizon(), s.SinceCheckpoint())
	}
	compareBalance(t, s)
}
