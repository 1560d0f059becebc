package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A listener that gives clients another port than its own: that of the proxy before it.
type advertised struct {
	net.Listener
	port int
}

func (l advertised) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: l.port}
}

// What produce requests are answered with when the test asks for trouble. After REQUEST_TIMED_OUT and
// NOT_ENOUGH_REPLICAS_AFTER_APPEND the batch is in the log nevertheless.
var trouble = []*kerr.Error{
	kerr.NotLeaderForPartition,
	kerr.RequestTimedOut,
	kerr.NotEnoughReplicas,
	kerr.NotEnoughReplicasAfterAppend,
	kerr.KafkaStorageError,
	kerr.UnknownTopicOrPartition,
}

// Runs until standard input ends; each line there is one trouble: the next in turn, and new leaders with every third.
func fake(ports string, topics []string) error {
	var front []int
	for _, port := range strings.Split(ports, ",") {
		number, err := strconv.Atoi(port)
		if err != nil {
			return err
		}
		front = append(front, number)
	}
	var behind []string
	listen := func(network, _ string) (net.Listener, error) {
		l, err := net.Listen(network, "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		at := len(behind)
		behind = append(behind, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
		return advertised{l, front[at]}, nil
	}
	options := []kfake.Opt{kfake.NumBrokers(len(front)), kfake.ListenFn(listen)}
	for _, topic := range topics {
		name, count, _ := strings.Cut(topic, ":")
		partitions, err := strconv.Atoi(count)
		if err != nil {
			return err
		}
		options = append(options, kfake.SeedTopics(int32(partitions), name))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return err
	}
	defer cluster.Close()
	fmt.Println(strings.Join(behind, " "))
	orders := bufio.NewScanner(os.Stdin)
	for turn := 0; orders.Scan(); turn++ {
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: trouble[turn%len(trouble)], Count: 2})
		if turn%3 == 0 {
			cluster.ShufflePartitionLeaders()
		}
	}
	return orders.Err()
}
