package audit_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/postern-dev/postern/internal/core/audit"
)

var update = flag.Bool("update", false, "write the vectors of proofs again")

const vectorsFile = "testdata/proofs.json"

// vectors are proofs that this package and the verifier of the browser (web/src/lib/proof.ts) both judge.
type vectors struct {
	Key         string
	Checkpoints []checkpointVector
	Inclusions  []inclusionVector
	Consistency []consistencyVector
}

type checkpointVector struct {
	Size       int64
	Root, Note string
}

type inclusionVector struct {
	Record      string // base64, as all bytes here
	Index, Size int64
	Hashes      []string
}

type consistencyVector struct {
	From, To int64
	Hashes   []string
}

// TestProofVectors holds the vectors of testdata, by which the browser's verifier is tested.
func TestProofVectors(t *testing.T) {
	t.Parallel()
	if *update {
		writeVectors(t)
	}
	text, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Checkpoints) < 8 || len(v.Inclusions) < 30 || len(v.Consistency) < 20 {
		t.Fatal("there are too few vectors")
	}
	roots := map[int64]audit.Hash{}
	for _, c := range v.Checkpoints {
		signed, err := audit.Open(v.Key, c.Note)
		if err != nil || signed.Size != c.Size || signed.Root.String() != c.Root {
			t.Errorf("checkpoint of %d records: %v", c.Size, err)
		}
		roots[c.Size] = signed.Root
	}
	for _, p := range v.Inclusions {
		record, err := base64.StdEncoding.DecodeString(p.Record)
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.CheckInclusion(hashes(t, p.Hashes), p.Size, roots[p.Size], p.Index, record); err != nil {
			t.Error(err)
		}
	}
	for _, p := range v.Consistency {
		err := audit.CheckConsistency(hashes(t, p.Hashes), p.From, roots[p.From], p.To, roots[p.To])
		if err != nil {
			t.Error(err)
		}
	}
}

func hashes(t *testing.T, texts []string) (all []audit.Hash) {
	t.Helper()
	for _, text := range texts {
		hash, err := tlog.ParseHash(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, hash)
	}
	return all
}

func writeVectors(t *testing.T) {
	t.Helper()
	signer, verifier, err := audit.GenerateKey(rand.Reader, "vectors")
	if err != nil {
		t.Fatal(err)
	}
	v := vectors{Key: verifier}
	var stored []audit.Hash
	read := audit.HashReader(func(indexes []int64) (found []tlog.Hash, err error) {
		for _, i := range indexes {
			found = append(found, stored[i])
		}
		return found, nil
	})
	record := func(n int64) []byte { return fmt.Appendf(nil, `{"seq":%d,"kind":"vector"}`, n) }
	texts := func(proof []audit.Hash, err error) []string {
		if err != nil {
			t.Fatal(err)
		}
		all := []string{}
		for _, hash := range proof {
			all = append(all, hash.String())
		}
		return all
	}
	sizes := map[int64]bool{1: true, 2: true, 3: true, 4: true, 7: true, 8: true, 13: true, 64: true, 100: true}
	for size := int64(1); size <= 100; size++ {
		added, err := tlog.StoredHashes(size-1, record(size-1), read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, added...)
		if !sizes[size] {
			continue
		}
		root, err := audit.RootAt(size, read)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := audit.Sign(signer, size, root, time.Unix(1_800_000_000+size, 0))
		if err != nil {
			t.Fatal(err)
		}
		v.Checkpoints = append(v.Checkpoints, checkpointVector{size, root.String(), signed.Text})
		for index := range size {
			if index < 3 || index == size/2 || index >= size-2 {
				v.Inclusions = append(v.Inclusions, inclusionVector{
					base64.StdEncoding.EncodeToString(record(index)), index, size,
					texts(audit.ProveInclusion(size, index, read)),
				})
			}
		}
		for from := range size {
			if sizes[from] {
				v.Consistency = append(v.Consistency,
					consistencyVector{from, size, texts(audit.ProveConsistency(from, size, read))})
			}
		}
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		err = os.WriteFile(vectorsFile, append(text, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
