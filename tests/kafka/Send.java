import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * {@code Send BOOTSTRAP TOPIC CODEC} sends what it reads, in lines as {@code Dump records} prints them, and ends when all of it was
 * acknowledged.
 */
public final class Send {
    private static final HexFormat HEX = HexFormat.of();

    private Send() {}

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments[0]);
        properties.put("compression.type", arguments[2]);
        properties.put("batch.size", "500000");
        properties.put("linger.ms", "100");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String[] fields = line.split("\t", -1);
                List<Header> headers = new ArrayList<>();
                for (String header : fields[4].split(";")) {
                    if (!header.isEmpty()) {
                        String[] pair = header.split("=", -1);
                        headers.add(new RecordHeader(
                                new String(HEX.parseHex(pair[0]), StandardCharsets.UTF_8), bytes(pair[1])));
                    }
                }
                sent.add(producer.send(new ProducerRecord<>(
                        arguments[1],
                        Integer.valueOf(fields[0]),
                        Long.valueOf(fields[2]),
                        bytes(fields[3]),
                        bytes(fields[5]),
                        headers)));
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
    }

    private static byte[] bytes(String hex) {
        return hex.equals("-") ? null : HEX.parseHex(hex);
    }
}
