package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Sends what it reads, in lines as `read` prints them, and ends when all of it was acknowledged.
func send(bootstrap, topic, codec string) error {
	codecs := map[string]kgo.CompressionCodec{
		"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	chosen, known := codecs[codec]
	if !known {
		return fmt.Errorf("no codec: %s", codec)
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(bootstrap, ",")...),
		kgo.ProducerBatchCompression(chosen),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(100*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	var records []*kgo.Record
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		record, err := parse(topic, lines.Text())
		if err != nil {
			return err
		}
		records = append(records, record)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	context, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return client.ProduceSync(context, records...).FirstErr()
}

func parse(topic, line string) (*kgo.Record, error) {
	fields := strings.Split(line, "\t")
	if len(fields) != 6 {
		return nil, fmt.Errorf("not a record: %s", line)
	}
	partition, err := strconv.Atoi(fields[0])
	if err != nil {
		return nil, err
	}
	timestamp, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return nil, err
	}
	record := &kgo.Record{Topic: topic, Partition: int32(partition), Timestamp: time.UnixMilli(timestamp)}
	if record.Key, err = content(fields[3]); err != nil {
		return nil, err
	}
	if record.Value, err = content(fields[5]); err != nil {
		return nil, err
	}
	for _, header := range strings.Split(fields[4], ";") {
		if header == "" {
			continue
		}
		name, value, _ := strings.Cut(header, "=")
		key, err := hex.DecodeString(name)
		if err != nil {
			return nil, err
		}
		one := kgo.RecordHeader{Key: string(key)}
		if one.Value, err = content(value); err != nil {
			return nil, err
		}
		record.Headers = append(record.Headers, one)
	}
	return record, nil
}

func content(text string) ([]byte, error) {
	if text == "-" {
		return nil, nil
	}
	return hex.DecodeString(text)
}
