package review

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/internal/core/audit"
)

// Evidence is one line for the review, one for a signed checkpoint of the activity log, one for each item and one for
// each record about the review, in their order:
//
//	{"accessReview":"<id>"}
//	{"checkpoint":"<signed note>"}
//	{"item":1,"facts":[{…},{…}]}
//	{"seq":12,"proof":["<base64>"],"record":"<base64 of the canonical record>"}
//
// It holds nothing that the records do not prove: the facts hash to what the records name, and all else is read from
// them.

// EvidenceHead returns the first two lines.
func EvidenceHead(id ID, checkpoint string) ([]byte, error) {
	return audit.AppendCheckpointLine(fmt.Appendf(nil, "{\"accessReview\":%s}\n", quoted(string(id))), checkpoint)
}

// EvidenceItem returns the line of an item.
func EvidenceItem(it Item) []byte {
	facts := make([]string, 0, len(it.Former)+1)
	for _, f := range append(slices.Clip(it.Former), it.Facts) {
		facts = append(facts, string(f.Encode()))
	}
	return itemLine(it.Number, facts)
}

func itemLine(number int, facts []string) []byte {
	return fmt.Appendf(nil, "{\"item\":%d,\"facts\":[%s]}\n", number, strings.Join(facts, ","))
}

// EvidenceRecord returns the line of a record, with the proof that the checkpoint covers it.
func EvidenceRecord(seq int64, proof []audit.Hash, record []byte) []byte {
	hashes := make([]string, len(proof))
	for i, h := range proof {
		hashes[i] = `"` + base64.StdEncoding.EncodeToString(h[:]) + `"`
	}
	return fmt.Appendf(nil, "{\"seq\":%d,\"proof\":[%s],\"record\":\"%s\"}\n", seq, strings.Join(hashes, ","),
		base64.StdEncoding.EncodeToString(record))
}

func quoted(s string) string {
	out, err := json.Marshal(s)
	if err != nil {
		return `""` // a text has a form
	}
	return string(out)
}

// canonical reads a line whose fields are as named, and refuses one that again does not write the same.
func canonical(line []byte, again func(fields map[string]json.RawMessage) ([]byte, error)) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return fmt.Errorf("it is not JSON: %w", err)
	}
	whole, err := again(fields)
	if err != nil {
		return err
	}
	if !bytes.Equal(whole, line) {
		return fmt.Errorf("it is not in its canonical form")
	}
	return nil
}

func field[T any](fields map[string]json.RawMessage, name string) (v T, err error) {
	if err := json.Unmarshal(fields[name], &v); err != nil {
		return v, fmt.Errorf("its %s cannot be read: %w", name, err)
	}
	return v, nil
}

func decodeHead(line []byte) (id ID, err error) {
	err = canonical(line, func(fields map[string]json.RawMessage) ([]byte, error) {
		id, err = field[ID](fields, "accessReview")
		return fmt.Appendf(nil, "{\"accessReview\":%s}\n", quoted(string(id))), err
	})
	return id, err
}

func decodeCheckpoint(line []byte) (text string, err error) {
	err = canonical(line, func(fields map[string]json.RawMessage) ([]byte, error) {
		if text, err = field[string](fields, "checkpoint"); err != nil {
			return nil, err
		}
		return audit.AppendCheckpointLine(nil, text)
	})
	return text, err
}

func decodeItem(line []byte) (it Item, err error) {
	err = canonical(line, func(fields map[string]json.RawMessage) ([]byte, error) {
		if it.Number, err = field[int](fields, "item"); err != nil {
			return nil, err
		}
		raw, err := field[[]json.RawMessage](fields, "facts")
		if err != nil || len(raw) == 0 {
			return nil, fmt.Errorf("its facts cannot be read: %w", err)
		}
		texts := make([]string, len(raw))
		for i, one := range raw {
			f, err := DecodeFacts(one)
			if err != nil {
				return nil, err
			}
			texts[i] = string(one)
			it.Former = append(it.Former, f)
		}
		last := len(it.Former) - 1
		it.Facts, it.Former = it.Former[last], it.Former[:last]
		return itemLine(it.Number, texts), nil
	})
	return it, err
}

func decodeRecord(line []byte) (seq int64, proof []audit.Hash, record []byte, err error) {
	err = canonical(line, func(fields map[string]json.RawMessage) ([]byte, error) {
		if seq, err = field[int64](fields, "seq"); err != nil {
			return nil, err
		}
		hashes, err := field[[]string](fields, "proof")
		if err != nil {
			return nil, err
		}
		for i, text := range hashes {
			h, err := base64.StdEncoding.Strict().DecodeString(text)
			if err != nil || len(h) != len(audit.Hash{}) {
				return nil, fmt.Errorf("hash %s of its proof cannot be read", strconv.Itoa(i+1))
			}
			proof = append(proof, audit.Hash(h))
		}
		text, err := field[string](fields, "record")
		if err != nil {
			return nil, err
		}
		if record, err = base64.StdEncoding.Strict().DecodeString(text); err != nil {
			return nil, fmt.Errorf("its record is not base64: %w", err)
		}
		return EvidenceRecord(seq, proof, record), nil
	})
	return seq, proof, record, err
}
