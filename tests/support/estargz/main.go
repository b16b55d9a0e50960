// Reads a lazy layer with containerd's own library, and checks each byte against the table.
//
//	estargz LAYER DIGEST          every file, and random pieces of each
//	estargz LAYER DIGEST READS    only these: lines of OFFSET LENGTH PATH
//
// LAYER is a file or the address of a blob, which is read by range in units of 50,000 bytes, as
// the snapshotter does. Prints what was read, as JSON.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"sort"
	"strings"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/opencontainers/go-digest"
)

const (
	unit     = 50000 // bytes; the snapshotter's `chunk_size`
	atRandom = 8     // pieces of each file
	readable = 256 << 20
)

type facts struct {
	Files    int   `json:"files"`
	Chunks   int   `json:"chunks"`
	Size     int64 `json:"size"`     // of the files
	Fetched  int64 `json:"fetched"`  // bytes of the blob
	Requests int   `json:"requests"` // in which they came
	Prefetch int64 `json:"prefetch"` // bytes before the landmark, -1 without one
}

// remote is a blob of which each unit is fetched once.
type remote struct {
	address string
	size    int64
	units   map[int64][]byte
	facts   *facts
}

func (r *remote) ReadAt(p []byte, at int64) (int, error) {
	if at >= r.size {
		return 0, io.EOF
	}
	end := at + int64(len(p))
	if end > r.size {
		end = r.size
	}
	for from := at / unit; from*unit < end; from++ {
		if r.units[from] != nil {
			continue
		}
		to := from + 1 // units that are missing side by side are one request
		for to*unit < end && r.units[to] == nil {
			to++
		}
		if err := r.fetch(from, to); err != nil {
			return 0, err
		}
	}
	n := 0
	for place := at; place < end; {
		n += copy(p[n:end-at], r.units[place/unit][place%unit:])
		place = at + int64(n)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *remote) fetch(from, to int64) error {
	last := to*unit - 1
	if last >= r.size {
		last = r.size - 1
	}
	request, err := http.NewRequest("GET", r.address, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from*unit, last))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusPartialContent {
		return fmt.Errorf("%s answers %s", r.address, answer.Status)
	}
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if int64(len(data)) != last-from*unit+1 {
		return fmt.Errorf("%d bytes came of %d-%d", len(data), from*unit, last)
	}
	r.facts.Fetched += int64(len(data))
	r.facts.Requests++
	for at := from; at < to; at++ {
		rest := data[(at-from)*unit:]
		if len(rest) > unit {
			rest = rest[:unit]
		}
		r.units[at] = rest
	}
	return nil
}

func open(place string, f *facts) (*io.SectionReader, error) {
	if !strings.HasPrefix(place, "http://") {
		file, err := os.Open(place)
		if err != nil {
			return nil, err
		}
		info, err := file.Stat()
		if err != nil {
			return nil, err
		}
		return io.NewSectionReader(file, 0, info.Size()), nil
	}
	answer, err := http.Head(place)
	if err != nil {
		return nil, err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", place, answer.Status)
	}
	blob := &remote{place, answer.ContentLength, map[int64][]byte{}, f}
	return io.NewSectionReader(blob, 0, blob.size), nil
}

type layer struct {
	reader   *estargz.Reader
	verifier estargz.TOCEntryVerifier
	facts    *facts
	done     map[int64]bool // chunks, by where they begin
}

// chunk reads the part of a file that holds a place, checks it, and returns where the next begins.
func (l *layer) chunk(file *io.SectionReader, path string, at int64) (int64, error) {
	entry, ok := l.reader.ChunkEntryForOffset(path, at)
	if !ok {
		return 0, fmt.Errorf("%s has no chunk at %d", path, at)
	}
	next := entry.ChunkOffset + entry.ChunkSize
	if l.done[entry.Offset] {
		return next, nil
	}
	check, err := l.verifier.Verifier(entry)
	if err != nil {
		return 0, err
	}
	piece := io.NewSectionReader(file, entry.ChunkOffset, entry.ChunkSize)
	// A buffer as large as the chunk: the library inflates anew for each read.
	size := entry.ChunkSize
	if size > readable {
		size = readable
	}
	if n, err := io.Copy(check, bufio.NewReaderSize(piece, int(size))); err != nil || n != entry.ChunkSize {
		return 0, fmt.Errorf("%s at %d: %d of %d bytes: %v", path, at, n, entry.ChunkSize, err)
	}
	if !check.Verified() {
		return 0, fmt.Errorf("%s at %d is not as the table says", path, at)
	}
	l.done[entry.Offset] = true
	l.facts.Chunks++
	return next, nil
}

func (l *layer) read(path string, at, size int64) error {
	file, err := l.reader.OpenFile(path)
	if err != nil {
		return err
	}
	if size < 0 || at+size > file.Size() {
		size = file.Size() - at
	}
	for end := at + size; at < end; {
		if at, err = l.chunk(file, path, at); err != nil {
			return err
		}
	}
	return nil
}

// whole reads a file, asks for the digest of all of it, and compares pieces at random with it.
func (l *layer) whole(path string, entry *estargz.TOCEntry, random *rand.Rand) error {
	l.facts.Files++
	l.facts.Size += entry.Size
	if entry.Size == 0 {
		return nil
	}
	if err := l.read(path, 0, -1); err != nil {
		return err
	}
	file, err := l.reader.OpenFile(path)
	if err != nil {
		return err
	}
	data := make([]byte, entry.Size)
	if _, err := file.ReadAt(data, 0); err != nil && entry.Size <= entry.ChunkSize {
		return fmt.Errorf("%s: %v", path, err)
	} else if entry.Size > entry.ChunkSize {
		for at := int64(0); at < entry.Size; at += entry.ChunkSize { // a read ends with its chunk
			end := at + entry.ChunkSize
			if end > entry.Size {
				end = entry.Size
			}
			if _, err := file.ReadAt(data[at:end], at); err != nil {
				return fmt.Errorf("%s at %d: %v", path, at, err)
			}
		}
	}
	if found := digest.FromBytes(data).String(); found != entry.Digest {
		return fmt.Errorf("%s is %s, the table says %s", path, found, entry.Digest)
	}
	pieces := atRandom
	if entry.Size > readable {
		pieces = 1 // the library inflates from the beginning of a chunk for each
	}
	for n := 0; n < pieces; n++ {
		at := random.Int63n(entry.Size)
		size := 1 + random.Int63n(1<<16)
		if chunk, ok := l.reader.ChunkEntryForOffset(path, at); !ok {
			return fmt.Errorf("%s has no chunk at %d", path, at)
		} else if end := chunk.ChunkOffset + chunk.ChunkSize; at+size > end {
			size = end - at
		}
		piece := make([]byte, size)
		if _, err := file.ReadAt(piece, at); err != nil {
			return fmt.Errorf("%s at %d: %v", path, at, err)
		}
		if !bytes.Equal(piece, data[at:at+size]) {
			return fmt.Errorf("%s at %d: other bytes than in the whole file", path, at)
		}
	}
	return nil
}

func (l *layer) everything() error {
	files := map[string]*estargz.TOCEntry{}
	var walk func(prefix string, folder *estargz.TOCEntry)
	walk = func(prefix string, folder *estargz.TOCEntry) {
		folder.ForeachChild(func(name string, entry *estargz.TOCEntry) bool {
			switch entry.Type {
			case "dir":
				walk(prefix+name+"/", entry)
			case "reg":
				files[prefix+name] = entry
			}
			return true
		})
	}
	root, ok := l.reader.Lookup("")
	if !ok {
		return fmt.Errorf("no root")
	}
	walk("", root)
	paths := make([]string, 0, len(files))
	for path := range files {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	random := rand.New(rand.NewSource(1))
	for _, path := range paths {
		if path == estargz.PrefetchLandmark || path == estargz.NoPrefetchLandmark {
			if err := l.read(path, 0, -1); err != nil {
				return err
			}
			continue
		}
		if err := l.whole(path, files[path], random); err != nil {
			return err
		}
	}
	return nil
}

func (l *layer) only(reads string) error {
	file, err := os.Open(reads)
	if err != nil {
		return err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var at, size int64
		words := strings.SplitN(lines.Text(), " ", 3)
		if _, err := fmt.Sscan(words[0]+" "+words[1], &at, &size); err != nil {
			return err
		}
		if err := l.read(words[2], at, size); err != nil {
			return err
		}
	}
	return nil
}

func run() error {
	found := &facts{Prefetch: -1}
	blob, err := open(os.Args[1], found)
	if err != nil {
		return err
	}
	reader, err := estargz.Open(blob)
	if err != nil {
		return err
	}
	verifier, err := reader.VerifyTOC(digest.Digest(os.Args[2]))
	if err != nil {
		return err
	}
	if entry, ok := reader.Lookup(estargz.PrefetchLandmark); ok {
		found.Prefetch = entry.Offset
		if _, err := blob.ReadAt(make([]byte, entry.Offset), 0); err != nil {
			return err
		}
	}
	read := &layer{reader, verifier, found, map[int64]bool{}}
	if len(os.Args) > 3 {
		err = read.only(os.Args[3])
	} else {
		err = read.everything()
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
