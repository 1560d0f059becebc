// What the tests need of franz-go: its cluster in memory, kfake, to send to, and its consumer to read back with.
//
//	interop fake ADVERTISED_PORT,… TOPIC:PARTITIONS …   a cluster of as many brokers; prints their real ports
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
	case len(os.Args) == 4 && os.Args[1] == "read":
		err = read(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("usage: interop fake PORTS TOPIC:PARTITIONS … | interop read BOOTSTRAP TOPIC")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}
