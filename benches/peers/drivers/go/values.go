package main

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
)

// values are those of forebay_peer_driver: made beforehand, and only the sequence is written into the next one.
type values struct {
	prepared [][]byte
	sequence uint64
}

type words uint64

// SplitMix64.
func (w *words) next() uint64 {
	*w += 0x9E3779B97F4A7C15
	word := uint64(*w)
	word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9
	word = (word ^ (word >> 27)) * 0x94D049BB133111EB
	return word ^ (word >> 31)
}

var names = [16]string{
	"checkout", "payment", "inventory", "search", "session", "profile", "catalogue", "shipping", "refund",
	"recommend", "gateway", "audit", "pricing", "coupon", "address", "invoice",
}

const (
	head   = 12
	table  = 64 * 1024
	stride = 499
)

func newValues(sender uint32, size int, text bool) values {
	count := 64
	if text {
		count = max((2<<20)/size, 8)
	}
	var source []byte
	if text {
		source = logLines(sender, count*size)
	} else {
		w := words(0x9E3779B97F4A7C15)
		for len(source) < table {
			source = binary.LittleEndian.AppendUint64(source, w.next())
		}
	}
	v := values{prepared: make([][]byte, count)}
	for i := range v.prepared {
		value := make([]byte, size)
		if text {
			copy(value, source[i*size:])
		} else {
			for at := head; at < size; at++ {
				value[at] = source[(i*stride+at-head)%table]
			}
		}
		binary.LittleEndian.PutUint32(value, sender)
		v.prepared[i] = value
	}
	return v
}

func (v *values) next() []byte {
	value := v.prepared[v.sequence%uint64(len(v.prepared))]
	binary.LittleEndian.PutUint64(value[4:], v.sequence)
	v.sequence++
	return value
}

func logLines(sender uint32, size int) []byte {
	w := words(uint64(sender) + 1)
	var text strings.Builder
	for text.Len() < size {
		word := w.next()
		fmt.Fprintf(&text, `{"service":"%s","event":"%s-%d","id":%d,"user":%d,"ms":%d,"ok":%t}`+"\n",
			names[word%16], names[word>>4%16], word>>8&7, word>>20, w.next()%100_000, word>>12&255, word>>11&15 != 0)
	}
	return []byte(text.String())
}

// histogram counts as forebay_peer_driver's does: 64 steps between two powers of two.
type histogram struct {
	counts [64 * 60]uint64
	max    uint64
}

func (h *histogram) record(value uint64) {
	shift := max(bits.Len64(value)-7, 0)
	h.counts[shift*64+int(value>>shift)]++
	h.max = max(h.max, value)
}

func (h *histogram) add(other *histogram) {
	for i, count := range other.counts {
		h.counts[i] += count
	}
	h.max = max(h.max, other.max)
}

func (h *histogram) json() string {
	var text strings.Builder
	fmt.Fprintf(&text, `{"max":%d,"counts":[`, h.max)
	comma := ""
	for i, count := range h.counts {
		if count > 0 {
			shift := max(i/64-1, 0)
			fmt.Fprintf(&text, "%s[%d,%d]", comma, uint64(i-shift*64)<<shift, count)
			comma = ","
		}
	}
	text.WriteString("]}")
	return text.String()
}
