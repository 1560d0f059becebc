package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func read(bootstrap, topic string) error {
	context, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(bootstrap, ",")...))
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := ends(context, client, topic)
	if err != nil {
		return err
	}
	from := make(map[int32]kgo.Offset)
	for partition, end := range ends {
		if end > 0 {
			from[partition] = kgo.NewOffset().At(0)
		} else {
			delete(ends, partition)
		}
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	for len(ends) > 0 {
		fetches := client.PollFetches(context)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			fmt.Fprintf(out, "%d\t%d\t%d\t%s\t%s\t%s\n",
				r.Partition, r.Offset, r.Timestamp.UnixMilli(), text(r.Key), headers(r.Headers), text(r.Value))
			if r.Offset+1 >= ends[r.Partition] {
				delete(ends, r.Partition)
			}
		})
	}
	return out.Flush()
}

// The end offset of each partition, asked of its leader.
func ends(context context.Context, client *kgo.Client, topic string) (map[int32]int64, error) {
	metadata := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = kmsg.StringPtr(topic)
	metadata.Topics = append(metadata.Topics, asked)
	known, err := metadata.RequestWith(context, client)
	if err != nil {
		return nil, err
	}
	list := kmsg.NewPtrListOffsetsRequest()
	list.ReplicaID = -1
	of := kmsg.NewListOffsetsRequestTopic()
	of.Topic = topic
	for _, partition := range known.Topics[0].Partitions {
		one := kmsg.NewListOffsetsRequestTopicPartition()
		one.Partition = partition.Partition
		one.Timestamp = -1
		of.Partitions = append(of.Partitions, one)
	}
	list.Topics = append(list.Topics, of)
	ends := make(map[int32]int64)
	for _, shard := range client.RequestSharded(context, list) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, topic := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, partition := range topic.Partitions {
				if partition.ErrorCode != 0 {
					return nil, fmt.Errorf("partition %d: error %d", partition.Partition, partition.ErrorCode)
				}
				ends[partition.Partition] = partition.Offset
			}
		}
	}
	return ends, nil
}

func text(bytes []byte) string {
	if bytes == nil {
		return "-"
	}
	return hex.EncodeToString(bytes)
}

func headers(all []kgo.RecordHeader) string {
	var words []string
	for _, header := range all {
		words = append(words, hex.EncodeToString([]byte(header.Key))+"="+text(header.Value))
	}
	return strings.Join(words, ";")
}
