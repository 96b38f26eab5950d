package seal

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// vaultScheme is both the first word of a Key Vault recipient's text and the type of its age
// stanza, which has no arguments and, as its body, the file key under RSA-OAEP with
// SHA-256 and no label (RFC 8017 §7.1): what Key Vault calls RSA-OAEP-256. The stanza does not
// say whose it is.
const vaultScheme = "rsa-oaep-256"

// vaultRecipient is a public RSA key and the identifier of its private half in Key Vault. Its
// text is "rsa-oaep-256 ‖ space ‖ base64 of the PKIX key, unpadded ‖ space ‖ identifier".
type vaultRecipient struct {
	keyID string
	key   *rsa.PublicKey
}

// VaultRecipient returns the Recipient text of a KeyVault principal: an RSA key of 2,048 to
// 4,096 bits and its identifier, https://VAULT/keys/NAME/VERSION.
func VaultRecipient(keyID string, key *rsa.PublicKey) (string, error) {
	r := vaultRecipient{keyID, key}
	if err := r.check(); err != nil {
		return "", err
	}
	return r.String(), nil
}

// ParseVaultRecipient is the inverse of VaultRecipient.
func ParseVaultRecipient(text string) (keyID string, key *rsa.PublicKey, err error) {
	r, err := parseVault(text)
	if err != nil {
		return "", nil, err
	}
	return r.keyID, r.key, nil
}

func parseVault(text string) (*vaultRecipient, error) {
	words := strings.Split(text, " ")
	if len(words) != 3 || words[0] != vaultScheme {
		return nil, errors.New("vault recipient: not one")
	}
	der, err := base64.RawStdEncoding.Strict().DecodeString(words[1])
	if err != nil {
		return nil, errors.New("vault recipient: not base64")
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, errors.New("vault recipient: not a public key")
	}
	rsaKey, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("vault recipient: not an RSA key")
	}
	r := &vaultRecipient{words[2], rsaKey}
	return r, r.check()
}

func (r *vaultRecipient) check() error {
	if bits := r.key.N.BitLen(); bits < 2048 || bits > 4096 {
		return fmt.Errorf("vault recipient: a key of %d bits: want 2048 to 4096", bits)
	}
	host, ok := strings.CutPrefix(r.keyID, "https://")
	if !ok || host == "" || len(r.keyID) > 1024 {
		return errors.New("vault recipient: the key identifier is no https address")
	}
	for _, c := range r.keyID {
		if c <= ' ' || c > '~' {
			return errors.New("vault recipient: the key identifier has a character that addresses do not have")
		}
	}
	return nil
}

func (r *vaultRecipient) String() string {
	der, err := x509.MarshalPKIXPublicKey(r.key)
	if err != nil {
		panic(err) // not for RSA
	}
	return vaultScheme + " " + base64.RawStdEncoding.EncodeToString(der) + " " + r.keyID
}

// Wrap implements age.Recipient.
func (r *vaultRecipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	body, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, r.key, fileKey, nil)
	if err != nil {
		return nil, err
	}
	return []*age.Stanza{{Type: vaultScheme, Body: body}}, nil
}

// VaultIdentity returns the age identity, for OpenSlot, of a key that cannot be had: decrypt
// has Key Vault undo RSA-OAEP-256.
func VaultIdentity(decrypt func(ciphertext []byte) ([]byte, error)) age.Identity {
	return vaultIdentity(decrypt)
}

type vaultIdentity func([]byte) ([]byte, error)

// Unwrap implements age.Identity.
func (decrypt vaultIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, s := range stanzas {
		if s.Type == vaultScheme && len(s.Args) == 0 {
			key, err := decrypt(s.Body)
			if err == nil && len(key) != 16 {
				return nil, fmt.Errorf("%w: Key Vault unwrapped %d bytes", ErrCorrupt, len(key))
			}
			return bytes.Clone(key), err
		}
	}
	return nil, age.ErrIncorrectIdentity
}
