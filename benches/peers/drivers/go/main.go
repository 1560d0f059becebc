// franz-go as a driver of the comparison: the same command line, values, pace and JSON as the drivers in Rust
// (benches/peers/driver says what each word means).
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const patience = 60 * time.Second

type job struct {
	bootstrap, topic                string
	partitions, size, senders, keys int
	records, warmup                 int64
	rate                            float64
	spin, text                      bool
	sample                          uint64
	settings                        [][2]string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "franz-go:", err)
		os.Exit(1)
	}
}

func parse(words []string) (job, error) {
	j := job{topic: "peers", partitions: 1, size: 100, senders: 1, records: 1_000_000, sample: 1024}
	for _, word := range words {
		name, value, found := strings.Cut(word, "=")
		if !found {
			return j, fmt.Errorf("not name=value: %s", word)
		}
		var err error
		switch name {
		case "bootstrap":
			j.bootstrap = value
		case "topic":
			j.topic = value
		case "partitions":
			j.partitions, err = strconv.Atoi(value)
		case "size":
			j.size, err = strconv.Atoi(value)
		case "senders":
			j.senders, err = strconv.Atoi(value)
		case "keys":
			j.keys, err = strconv.Atoi(value)
		case "records":
			j.records, err = strconv.ParseInt(value, 10, 64)
		case "warmup":
			j.warmup, err = strconv.ParseInt(value, 10, 64)
		case "rate":
			j.rate, err = strconv.ParseFloat(value, 64)
		case "spin":
			j.spin = value != "0"
		case "text":
			j.text = value != "0"
		case "sample":
			j.sample, err = strconv.ParseUint(value, 10, 64)
		default:
			setting, found := strings.CutPrefix(name, "set.")
			if !found {
				return j, fmt.Errorf("no driver knows %s", word)
			}
			j.settings = append(j.settings, [2]string{setting, value})
		}
		if err != nil {
			return j, fmt.Errorf("%s: %w", word, err)
		}
	}
	return j, nil
}

// options are franz-go's, under the names that the harness uses for them.
func options(j job) ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(j.bootstrap, ",")...),
		kgo.AllowAutoTopicCreation(),
		kgo.DefaultProduceTopic(j.topic),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	}
	if j.keys > 0 {
		opts = append(opts, kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	} else {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	for _, setting := range j.settings {
		value := setting[1]
		number, err := strconv.ParseInt(value, 10, 64)
		switch setting[0] {
		case "ProducerLinger": // milliseconds
			opts = append(opts, kgo.ProducerLinger(time.Duration(number)*time.Millisecond))
		case "ProducerBatchMaxBytes":
			opts = append(opts, kgo.ProducerBatchMaxBytes(int32(number)))
		case "MaxBufferedRecords":
			opts = append(opts, kgo.MaxBufferedRecords(int(number)))
		case "MaxBufferedBytes":
			opts = append(opts, kgo.MaxBufferedBytes(int(number)))
		case "GOGC": // Go's own: how much garbage there may be
			debug.SetGCPercent(int(number))
		case "ProducerBatchCompression":
			err = nil
			codecs := map[string]kgo.CompressionCodec{
				"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
				"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
			}
			codec, found := codecs[value]
			if !found {
				err = fmt.Errorf("not a codec")
			}
			opts = append(opts, kgo.ProducerBatchCompression(codec))
		default:
			err = fmt.Errorf("not a setting that this driver knows")
		}
		if err != nil {
			return nil, fmt.Errorf("%s=%s: %w", setting[0], value, err)
		}
	}
	return opts, nil
}

// tally counts outcomes. Promises run on one goroutine at a time.
type tally struct {
	expected, told, failed, refused atomic.Int64
	latency                         histogram
	firstError                      error
	ended                           chan struct{}
	end                             time.Time
	endCPU                          int64
}

func (t *tally) begin(count int64) {
	t.told.Store(0)
	t.latency = histogram{}
	t.ended = make(chan struct{})
	t.expected.Store(count)
}

func (t *tally) outcome(err error) {
	if err != nil {
		t.failed.Add(1)
		if t.firstError == nil {
			t.firstError = err
		}
	}
	if t.told.Add(1) == t.expected.Load() {
		t.end, t.endCPU = time.Now(), cpuNs()
		close(t.ended)
	}
}

func (t *tally) wait() {
	select {
	case <-t.ended:
	case <-time.After(patience):
		t.end, t.endCPU = time.Now(), cpuNs()
	}
}

func run() error {
	j, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	opts, err := options(j)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	t := &tally{}
	seats := make([]*seat, j.senders)
	for i := range seats {
		seats[i] = newSeat(j, i, client, t)
	}
	if j.warmup > 0 {
		t.begin(j.warmup)
		phase(seats, j.warmup, 0)
		t.wait()
	}
	for _, s := range seats {
		s.call = histogram{}
	}
	t.begin(j.records)
	var pace time.Duration
	if j.rate > 0 {
		pace = time.Duration(float64(j.senders) * 1e9 / j.rate)
	}
	startCPU, start := cpuNs(), time.Now()
	phase(seats, j.records, pace)
	t.wait()
	call := histogram{}
	for _, s := range seats {
		call.add(&s.call)
	}
	failed := t.failed.Load()
	acknowledged := t.told.Load() - failed
	fmt.Printf(`{"client":"franz-go %s","records":%d,"acknowledged":%d,"failed":%d,"seconds":%.6f,`+
		`"cpu_ns":%d,"max_rss_bytes":%d,"send_ns":%s,"ack_ns":%s}`+"\n",
		version(), j.records, acknowledged, failed, t.end.Sub(start).Seconds(), t.endCPU-startCPU, maxRSS(),
		call.json(), t.latency.json())
	if acknowledged != j.records {
		return fmt.Errorf("%d records were not acknowledged: %v", j.records-acknowledged, t.firstError)
	}
	return nil
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/twmb/franz-go" {
				return strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return "?"
}

func phase(seats []*seat, records int64, pace time.Duration) {
	var all sync.WaitGroup
	for i, s := range seats {
		share := records / int64(len(seats))
		if int64(i) < records%int64(len(seats)) {
			share++
		}
		all.Go(func() { s.send(share, pace) })
	}
	all.Wait()
}

// chunk is how many records and values are allocated at once: franz-go keeps both until the outcome.
const chunk = 256

type seat struct {
	job        job
	client     *kgo.Client
	tally      *tally
	values     values
	call       histogram
	partition  int32
	untilTimed uint64
	random     uint64
	records    []kgo.Record
	bytes      []byte
	plain      func(*kgo.Record, error)
}

func newSeat(j job, index int, client *kgo.Client, t *tally) *seat {
	return &seat{
		job: j, client: client, tally: t, values: newValues(uint32(index), j.size, j.text),
		partition: int32(index % j.partitions), untilTimed: 1, random: uint64(index) + 1,
		plain: func(_ *kgo.Record, err error) { t.outcome(err) },
	}
}

func (s *seat) send(records int64, pace time.Duration) {
	start := time.Now()
	ctx := context.Background()
	for n := int64(0); n < records; n++ {
		if pace > 0 {
			keepPace(start, pace, n, s.job.spin)
		}
		if len(s.records) == 0 {
			s.records = make([]kgo.Record, chunk)
		}
		record := &s.records[0]
		s.records = s.records[1:]
		if s.job.keys > 0 {
			s.random = nextRandom(s.random)
			key := binary.BigEndian.AppendUint64(make([]byte, 0, 8), (s.random>>33)%uint64(s.job.keys))
			record.Key = key
		} else {
			record.Partition = s.partition
			s.partition++
			if int(s.partition) == s.job.partitions {
				s.partition = 0
			}
		}
		record.Value = s.copied(s.values.next())
		s.untilTimed--
		if s.untilTimed > 0 {
			s.client.Produce(ctx, record, s.plain)
			continue
		}
		before := time.Now()
		s.client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err == nil {
				s.tally.latency.record(uint64(time.Since(before)))
			}
			s.tally.outcome(err)
		})
		s.call.record(uint64(time.Since(before)))
		s.random = nextRandom(s.random)
		s.untilTimed = 1 + (s.random>>33)%(s.job.sample*2-1)
	}
}

func (s *seat) copied(value []byte) []byte {
	if len(s.bytes) < len(value) {
		s.bytes = make([]byte, max(len(value), min(chunk*len(value), 256<<10)))
	}
	out := s.bytes[:len(value):len(value)]
	s.bytes = s.bytes[len(value):]
	copy(out, value)
	return out
}

func nextRandom(state uint64) uint64 {
	return state*6364136223846793005 + 1442695040888963407
}

const leastSleep = 200 * time.Microsecond

func keepPace(start time.Time, pace time.Duration, record int64, spin bool) {
	due := pace * time.Duration(record)
	if spin {
		for time.Since(start) < due {
		}
		return
	}
	ahead := due - time.Since(start)
	if ahead >= leastSleep || (ahead > 0 && pace >= leastSleep) {
		// time.Sleep rounds up to a millisecond where nothing else runs.
		rest := syscall.NsecToTimespec(int64(ahead))
		_ = syscall.Nanosleep(&rest, nil)
	}
}

func cpuNs() int64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func maxRSS() int64 {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib * 1024
		}
	}
	return 0
}
