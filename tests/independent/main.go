// Checks notes and proofs with golang.org/x/mod/sumdb alone; knows nothing of Candor's code.
//
// One JSON object per line comes in on standard input, one word per line goes out: "accepted",
// or "refused" and why.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// One is a leaf with its inclusion proof, or (with Old) a consistency proof between two checkpoints.
type One struct {
	Key   string
	Note  string
	Index int64
	Leaf  []byte
	Proof [][]byte
	Old   string
}

func head(text, key string) (int64, tlog.Hash, error) {
	var root tlog.Hash
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return 0, root, err
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return 0, root, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return 0, root, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || strconv.FormatInt(size, 10) != lines[1] {
		return 0, root, errors.New("not a size")
	}
	root, err = tlog.ParseHash(lines[2])
	return size, root, err
}

func check(one One) error {
	size, root, err := head(one.Note, one.Key)
	if err != nil {
		return err
	}
	hashes := make([]tlog.Hash, len(one.Proof))
	for place, digest := range one.Proof {
		if len(digest) != tlog.HashSize {
			return errors.New("not a hash")
		}
		copy(hashes[place][:], digest)
	}
	if one.Old == "" {
		return tlog.CheckRecord(hashes, size, root, one.Index, tlog.RecordHash(one.Leaf))
	}
	oldSize, oldRoot, err := head(one.Old, one.Key)
	if err != nil {
		return err
	}
	return tlog.CheckTree(hashes, size, root, oldSize, oldRoot)
}

func main() {
	input := bufio.NewReader(os.Stdin)
	decoder := json.NewDecoder(input)
	for decoder.More() {
		var one One
		if err := decoder.Decode(&one); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		if err := check(one); err != nil {
			fmt.Printf("refused %q\n", err.Error())
		} else {
			fmt.Println("accepted")
		}
	}
}
