// What the tests need of franz-go: its cluster in memory, kfake, to send to, its consumer to read back with, and its producer.
//
//	interop fake ADVERTISED_PORT,… TOPIC:PARTITIONS …   a cluster of as many brokers; prints their real ports
//	interop send BOOTSTRAP TOPIC CODEC                  sends the records that it reads, in lines as `read` prints them
//	interop read BOOTSTRAP TOPIC                        prints every record up to the present end, as Dump.java does
package main

import (
	"fmt"
	"os"
)

func main() {
	var err error
	switch {
	case len(os.Args) >= 4 && os.Args[1] == "fake":
		err = fake(os.Args[2], os.Args[3:])
	case len(os.Args) == 5 && os.Args[1] == "send":
		err = send(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 4 && os.Args[1] == "read":
		err = read(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("usage: interop fake PORTS TOPIC:PARTITIONS … | interop read BOOTSTRAP TOPIC | interop send BOOTSTRAP TOPIC CODEC")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}
