package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// origin begins the first line of each checkpoint; the id of the log follows.
const origin = "postern activity log "

// signature begins the line that ends a checkpoint.
const signature = "— "

// GenerateKey makes a key pair for the log called id, which must have no blank and no '+'. signer is secret. Both are
// as golang.org/x/mod/sumdb/note writes them.
func GenerateKey(random io.Reader, id string) (signer, verifier string, err error) {
	signer, verifier, err = note.GenerateKey(random, id)
	if err != nil {
		return "", "", fmt.Errorf("make a checkpoint key: %w", err)
	}
	if _, err := note.NewSigner(signer); err != nil {
		return "", "", fmt.Errorf("make a checkpoint key for log %q: %w", id, err)
	}
	return signer, verifier, nil
}

// VerifierKey gives the public key of a signer's.
func VerifierKey(signer string) (string, error) {
	s, err := note.NewSigner(signer)
	if err != nil {
		return "", fmt.Errorf("read the checkpoint key: %w", err)
	}
	// PRIVATE+KEY+name+hash+key: the key is the rest, since base64 has '+' too.
	const parts = 5
	fields := strings.SplitN(signer, "+", parts)
	seed, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if err != nil || len(fields) != parts || len(seed) != 1+ed25519.SeedSize {
		return "", errors.New("read the checkpoint key: it is not an Ed25519 key")
	}
	public, ok := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("read the checkpoint key: it has no public part")
	}
	verifier, err := note.NewEd25519VerifierKey(s.Name(), public)
	if err != nil {
		return "", fmt.Errorf("read the checkpoint key: %w", err)
	}
	return verifier, nil
}

// Sign states that the log had size records, with that root, at a time, which is kept in microseconds.
func Sign(signer string, size int64, root Hash, at time.Time) (SignedCheckpoint, error) {
	s, err := note.NewSigner(signer)
	if err != nil {
		return SignedCheckpoint{}, fmt.Errorf("read the checkpoint key: %w", err)
	}
	at = at.UTC().Truncate(time.Microsecond)
	text := fmt.Sprintf("%s%s\n%d\n%s\n%d\n", origin, s.Name(), size, root, at.UnixMicro())
	signed, err := note.Sign(&note.Note{Text: text}, s)
	if err != nil {
		return SignedCheckpoint{}, fmt.Errorf("sign a checkpoint: %w", err)
	}
	return SignedCheckpoint{Size: size, Root: root, At: at, Text: string(signed)}, nil
}

// Open checks the signature of a checkpoint and reads it. Signatures of others may stand below ours; they are not
// looked at.
func Open(verifier, text string) (SignedCheckpoint, error) {
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return SignedCheckpoint{}, fmt.Errorf("read the verifier key: %w", err)
	}
	n, err := note.Open([]byte(text), note.VerifierList(v))
	if err != nil {
		return SignedCheckpoint{}, fmt.Errorf("the checkpoint is not signed by %s: %w", v.Name(), err)
	}
	for _, sig := range append(n.Sigs, n.UnverifiedSigs...) {
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return SignedCheckpoint{}, fmt.Errorf("the signature by %s is malformed: %w", sig.Name, err)
		}
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 5 || lines[0] != origin+v.Name() {
		return SignedCheckpoint{}, fmt.Errorf("the checkpoint is not one of %q", origin+v.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return SignedCheckpoint{}, fmt.Errorf("the checkpoint has a malformed size %q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return SignedCheckpoint{}, fmt.Errorf("the checkpoint has a malformed root %q", lines[2])
	}
	at, err := strconv.ParseInt(lines[3], 10, 64)
	if err != nil {
		return SignedCheckpoint{}, fmt.Errorf("the checkpoint has a malformed time %q", lines[3])
	}
	c := SignedCheckpoint{Size: size, Root: root, At: time.UnixMicro(at).UTC(), Text: text}
	if !bytes.Equal([]byte(n.Text), fmt.Appendf(nil, "%s%s\n%d\n%s\n%d\n", origin, v.Name(), size, root, at)) {
		return SignedCheckpoint{}, errors.New("the checkpoint is not in its canonical form")
	}
	return c, nil
}

// SplitCheckpoints gives the signed notes of a text that holds several, one behind another, as a file has them that a
// checkpoint was added to now and then. It does not say whether they are sound. Blank lines between them belong to
// none.
func SplitCheckpoints(text string) []string {
	var notes []string
	for _, line := range strings.SplitAfter(text, "\n") {
		switch {
		case strings.HasPrefix(line, origin), len(notes) == 0 && strings.TrimSpace(line) != "":
			notes = append(notes, line)
		case len(notes) > 0:
			notes[len(notes)-1] += line
		}
	}
	for i, n := range notes {
		if trimmed := strings.TrimRight(n, "\n"); trimmed != n {
			notes[i] = trimmed + "\n"
		}
	}
	return notes
}

// CutTorn takes off a text of several notes the last one where it was written in part, as a full disk or a crash leaves
// it: what follows the last signature and begins as a note does, or as far as it goes would.
func CutTorn(text string) (whole, torn string) {
	end := 0
	if i := strings.LastIndex("\n"+text, "\n"+signature); i >= 0 {
		length := strings.IndexByte(text[i:], '\n') + 1
		if length == 0 { // the signature itself is cut
			i = max(0, strings.LastIndex("\n"+text, "\n"+origin))
			return text[:i], text[i:]
		}
		end = i + length
	}
	rest := strings.TrimLeft(text[end:], "\n")
	if rest == "" || !strings.HasPrefix(rest, origin) && !strings.HasPrefix(origin, rest) {
		return text, ""
	}
	return text[:len(text)-len(rest)], rest
}
