package seal

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"unicode/utf8"

	"filippo.io/age"
)

// PrincipalKind says where a principal's private half is.
type PrincipalKind uint8

const (
	Device       PrincipalKind = 1 // in the configuration directory of a device
	Passphrase   PrincipalKind = 2 // in the repository, locked by a passphrase
	Recovery     PrincipalKind = 3 // in the repository, locked by a recovery code
	KeyVault     PrincipalKind = 4 // an RSA key in Azure Key Vault; not post-quantum
	AgeRecipient PrincipalKind = 5 // with whoever keeps the age identity
)

var principalKinds = map[PrincipalKind]string{
	Device:       "device",
	Passphrase:   "passphrase",
	Recovery:     "recovery code",
	KeyVault:     "Key Vault key",
	AgeRecipient: "age recipient",
}

func (k PrincipalKind) String() string {
	if s, ok := principalKinds[k]; ok {
		return s
	}
	return fmt.Sprintf("principal kind %d", uint8(k))
}

// Rights is a set of what a principal may do in the ledger.
type Rights uint8

const (
	Push  Rights = 1
	Prune Rights = 2
	Enrol Rights = 4
	Admin Rights = 8

	allRights = Push | Prune | Enrol | Admin
)

// Principal is the public half of a member (FORMAT §6). Its CBOR is an array of the fields in
// this order. Principals are comparable.
type Principal struct {
	_         struct{} `cbor:",toarray"`
	ID        ID
	Kind      PrincipalKind
	Name      string
	Rights    Rights
	Recipient string   // text: age1pq1… for kinds 1 to 3 and 5, age1… for 5, VaultRecipient's for 4
	Verify    [32]byte // Ed25519 public key
}

// Limits of a principal's texts, bytes.
const (
	maxName      = 128
	maxRecipient = 4 << 10
)

// Check reports what is impossible about p: kind, rights (escrow has none), name (1 to 128 bytes of UTF-8
// without U+0000–001F and U+007F–009F), a recipient that does not parse or is not in its
// one canonical form, an id or verify key of zeros. The answer is part of the rules of the
// ledger, so it depends on p alone.
func (p Principal) Check() error {
	if err := p.check(); err != nil {
		return fmt.Errorf("principal %v: %w", p.ID, err)
	}
	return nil
}

func (p Principal) check() error {
	if _, ok := principalKinds[p.Kind]; !ok {
		return errors.New(p.Kind.String())
	}
	if p.Rights&^allRights != 0 {
		return fmt.Errorf("rights %#02x", uint8(p.Rights))
	}
	if (p.Kind == KeyVault || p.Kind == AgeRecipient) && p.Rights != 0 {
		return fmt.Errorf("rights %#02x for a %v, which has none", uint8(p.Rights), p.Kind)
	}
	if err := checkName(p.Name); err != nil {
		return err
	}
	if p.ID == (ID{}) || p.Verify == [32]byte{} {
		return errors.New("id or verify key is missing")
	}
	_, err := p.recipient()
	return err
}

func checkName(name string) error {
	if len(name) < 1 || len(name) > maxName || !utf8.ValidString(name) {
		return fmt.Errorf("name %.40q: want 1 to %d bytes of UTF-8", name, maxName)
	}
	for _, r := range name {
		if r < 0x20 || r >= 0x7f && r <= 0x9f {
			return fmt.Errorf("name %.40q: has a control character", name)
		}
	}
	return nil
}

// recipient parses p.Recipient, which has to be in the form that the parsed one prints.
func (p Principal) recipient() (age.Recipient, error) {
	var r interface {
		age.Recipient
		fmt.Stringer
	}
	err := fmt.Errorf("%d bytes", len(p.Recipient))
	if len(p.Recipient) <= maxRecipient {
		switch {
		case p.Kind == KeyVault:
			r, err = parseVault(p.Recipient)
		case p.Kind == AgeRecipient && len(p.Recipient) < 100: // X25519 has 62, hybrid 1,959
			r, err = age.ParseX25519Recipient(p.Recipient)
		default:
			r, err = age.ParseHybridRecipient(p.Recipient)
		}
	}
	if err != nil || r.String() != p.Recipient {
		return nil, fmt.Errorf("recipient %.20q… is none for a %v", p.Recipient, p.Kind)
	}
	return r, nil
}

// VerifySignature reports whether sig is p's Ed25519 signature of msg.
func (p Principal) VerifySignature(msg, sig []byte) bool {
	return ed25519.Verify(p.Verify[:], msg, sig)
}
