import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * What the Java client sees, byte for byte.
 *
 * <p>{@code Dump records BOOTSTRAP TOPIC} prints every record up to the present end, a line each:
 * partition, offset, timestamp, key, headers (name=value, joined by ';'), value, between tabs, all bytes in hex and "-" for null.
 *
 * <p>{@code Dump ends BOOTSTRAP TOPIC} prints the end offset of every partition, a line each.
 *
 * <p>{@code Dump partitions N} reads keys in hex, a line each, and prints the partition that the Java producer gives to each.
 */
public final class Dump {
    private static final HexFormat HEX = HexFormat.of();
    private static final PrintStream OUT =
            new PrintStream(new java.io.BufferedOutputStream(System.out, 1 << 20), false, StandardCharsets.US_ASCII);

    private Dump() {}

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "records" -> records(arguments[1], arguments[2]);
            case "ends" -> ends(arguments[1], arguments[2]);
            case "partitions" -> partitions(Integer.parseInt(arguments[1]));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        OUT.flush();
        if (OUT.checkError()) {
            throw new java.io.IOException("standard output failed");
        }
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String bootstrap) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "none");
        properties.put("check.crcs", "true");
        properties.put("isolation.level", "read_committed");
        properties.put("allow.auto.create.topics", "false");
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static List<TopicPartition> partitionsOf(KafkaConsumer<byte[], byte[]> consumer, String topic) {
        List<TopicPartition> all = new ArrayList<>();
        for (PartitionInfo info : consumer.partitionsFor(topic)) {
            all.add(new TopicPartition(topic, info.partition()));
        }
        return all;
    }

    private static void ends(String bootstrap, String topic) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap)) {
            consumer.endOffsets(partitionsOf(consumer, topic)).values().forEach(end -> OUT.print(end + "\n"));
        }
    }

    private static void records(String bootstrap, String topic) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(bootstrap)) {
            List<TopicPartition> all = partitionsOf(consumer, topic);
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> left = new HashMap<>(consumer.endOffsets(all));
            left.values().removeIf(end -> end == 0);
            long deadline = System.nanoTime() + Duration.ofMinutes(2).toNanos();
            while (!left.isEmpty()) {
                if (System.nanoTime() > deadline) {
                    throw new IllegalStateException("nothing came for two minutes; still to read: " + left);
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    deadline = System.nanoTime() + Duration.ofMinutes(2).toNanos();
                    print(record);
                }
                left.entrySet().removeIf(entry -> consumer.position(entry.getKey()) >= entry.getValue());
            }
        }
    }

    private static void print(ConsumerRecord<byte[], byte[]> record) {
        StringBuilder headers = new StringBuilder();
        for (Header header : record.headers()) {
            headers.append(headers.isEmpty() ? "" : ";")
                    .append(hex(header.key().getBytes(StandardCharsets.UTF_8)))
                    .append('=')
                    .append(hex(header.value()));
        }
        OUT.print(record.partition() + "\t" + record.offset() + "\t" + record.timestamp() + "\t" + hex(record.key())
                + "\t" + headers + "\t" + hex(record.value()) + "\n");
    }

    private static String hex(byte[] bytes) {
        return bytes == null ? "-" : HEX.formatHex(bytes);
    }

    private static void partitions(int count) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            OUT.print(BuiltInPartitioner.partitionForKey(HEX.parseHex(line), count) + "\n");
        }
    }
}
