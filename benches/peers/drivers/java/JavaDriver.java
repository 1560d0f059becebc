// Kafka's own Java producer as a driver of the comparison: the same command line, values, pace and JSON as the drivers in
// Rust (benches/peers/driver says what each word means).

import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

/** Usage: {@code java -cp JARS:CLASSES JavaDriver bootstrap=HOST:PORT topic=T records=N ... set.NAME=VALUE}. */
public final class JavaDriver {
    private static final long LEAST_SLEEP_NS = 200_000;
    private static final long PATIENCE_S = 60;

    private final Map<String, String> job = new HashMap<>();
    private final Properties settings = new Properties();
    private final AtomicReference<Exception> firstError = new AtomicReference<>();
    private final AtomicLong refused = new AtomicLong();
    /** Written by the producer's one I/O thread alone. */
    private volatile long expected;
    private final AtomicLong told = new AtomicLong();
    private final AtomicLong failed = new AtomicLong();
    private volatile CountDownLatch ended;
    private volatile long endNs;
    private volatile long endCpuNs;
    private final Histogram latency = new Histogram();

    private JavaDriver(String[] words) {
        for (String word : words) {
            int at = word.indexOf('=');
            if (at < 0) {
                throw new IllegalArgumentException("not name=value: " + word);
            }
            String name = word.substring(0, at);
            String value = word.substring(at + 1);
            if (name.startsWith("set.")) {
                settings.put(name.substring(4), value);
            } else {
                job.put(name, value);
            }
        }
        settings.put("bootstrap.servers", job.get("bootstrap"));
        settings.put("key.serializer", ByteArraySerializer.class.getName());
        settings.put("value.serializer", ByteArraySerializer.class.getName());
    }

    private long number(String name, long standard) {
        String value = job.get(name);
        return value == null ? standard : Long.parseLong(value);
    }

    public static void main(String[] words) throws Exception {
        new JavaDriver(words).run();
    }

    private void run() throws Exception {
        String topic = job.getOrDefault("topic", "peers");
        long records = number("records", 1_000_000);
        long warmup = number("warmup", 0);
        double rate = Double.parseDouble(job.getOrDefault("rate", "0"));
        int senders = (int) number("senders", 1);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
            producer.partitionsFor(topic);
            Seat[] seats = new Seat[senders];
            for (int i = 0; i < senders; i++) {
                seats[i] = new Seat(i, producer, topic);
            }
            if (warmup > 0) {
                begin(warmup);
                phase(seats, warmup, 0);
                ended.await(PATIENCE_S, TimeUnit.SECONDS);
            }
            for (Seat seat : seats) {
                seat.call.clear();
            }
            latency.clear();
            begin(records);
            long startCpu = cpuNs();
            long start = System.nanoTime();
            long paceNs = rate > 0 ? (long) (senders * 1e9 / rate) : 0;
            phase(seats, records, paceNs);
            if (!ended.await(PATIENCE_S, TimeUnit.SECONDS)) {
                endNs = System.nanoTime();
                endCpuNs = cpuNs();
            }
            Histogram call = new Histogram();
            for (Seat seat : seats) {
                call.add(seat.call);
            }
            long bad = failed.get() + refused.get();
            long acknowledged = told.get() - failed.get();
            System.out.printf(
                java.util.Locale.ROOT,
                "{\"client\":\"kafka-clients %s\",\"records\":%d,\"acknowledged\":%d,\"failed\":%d,\"seconds\":%.6f,"
                    + "\"cpu_ns\":%d,\"max_rss_bytes\":%d,\"send_ns\":%s,\"ack_ns\":%s}%n",
                AppInfoParser.getVersion(), records, acknowledged, bad, (endNs - start) / 1e9, endCpuNs - startCpu, maxRss(),
                call.json(), latency.json());
            if (acknowledged != records) {
                System.err.println((records - acknowledged) + " records were not acknowledged: " + firstError.get());
                System.exit(1);
            }
        }
    }

    private void begin(long count) {
        told.set(0);
        failed.set(0);
        refused.set(0);
        ended = new CountDownLatch(1);
        expected = count;
    }

    private void phase(Seat[] seats, long records, long paceNs) throws InterruptedException {
        Thread[] threads = new Thread[seats.length];
        for (int i = 0; i < seats.length; i++) {
            Seat seat = seats[i];
            long share = records / seats.length + (i < records % seats.length ? 1 : 0);
            threads[i] = new Thread(() -> seat.send(share, paceNs), "sender-" + i);
        }
        for (Thread thread : threads) {
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }

    private void told(Exception error) {
        if (error != null) {
            failed.incrementAndGet();
            firstError.compareAndSet(null, error);
        }
        long now = told.getPlain() + 1;
        told.setRelease(now);
        if (now + refused.get() >= expected) {
            endNs = System.nanoTime();
            endCpuNs = cpuNs();
            ended.countDown();
        }
    }

    /** One for all records that are not timed: it holds nothing. */
    private final Callback plain = (metadata, error) -> told(error);

    private final class Timed implements Callback {
        private final long sent;

        Timed(long sent) {
            this.sent = sent;
        }

        @Override
        public void onCompletion(RecordMetadata metadata, Exception error) {
            if (error == null) {
                latency.record(System.nanoTime() - sent);
            }
            told(error);
        }
    }

    private final class Seat {
        final KafkaProducer<byte[], byte[]> producer;
        final String topic;
        final int partitions = (int) number("partitions", 1);
        final int keys = (int) number("keys", 0);
        final long sample = number("sample", 1024);
        final Values values;
        final Histogram call = new Histogram();
        int partition;
        long untilTimed = 1;
        long random;

        Seat(int index, KafkaProducer<byte[], byte[]> producer, String topic) {
            this.producer = producer;
            this.topic = topic;
            this.partition = index % partitions;
            this.random = index + 1;
            this.values = new Values(index, (int) number("size", 100), number("text", 0) != 0);
        }

        void send(long records, long paceNs) {
            long start = System.nanoTime();
            boolean spin = number("spin", 0) != 0;
            for (long record = 0; record < records; record++) {
                if (paceNs > 0) {
                    keepPace(start, paceNs, record, spin);
                }
                Integer to = keys == 0 ? Integer.valueOf(partition) : null;
                partition = partition + 1 == partitions ? 0 : partition + 1;
                byte[] value = values.next();
                byte[] key = null;
                if (keys > 0) {
                    random = nextRandom(random);
                    key = bigEndian((random >>> 33) % keys);
                }
                boolean timed = --untilTimed == 0;
                long before = timed ? System.nanoTime() : 0;
                // The array is copied before send returns: it may be used again.
                ProducerRecord<byte[], byte[]> out = new ProducerRecord<>(topic, to, key, value);
                try {
                    producer.send(out, timed ? new Timed(before) : plain);
                } catch (RuntimeException error) {
                    firstError.compareAndSet(null, error);
                    if (refused.addAndGet(records - record) + told.get() >= expected) {
                        endNs = System.nanoTime();
                        endCpuNs = cpuNs();
                        ended.countDown();
                    }
                    return;
                }
                if (timed) {
                    call.record(System.nanoTime() - before);
                    random = nextRandom(random);
                    untilTimed = 1 + (random >>> 33) % (sample * 2 - 1);
                }
            }
        }
    }

    private static long nextRandom(long state) {
        return state * 6364136223846793005L + 1442695040888963407L;
    }

    private static byte[] bigEndian(long number) {
        byte[] bytes = new byte[8];
        for (int i = 7; i >= 0; i--) {
            bytes[i] = (byte) number;
            number >>>= 8;
        }
        return bytes;
    }

    private static void keepPace(long start, long paceNs, long record, boolean spin) {
        long due = paceNs * record;
        if (spin) {
            while (System.nanoTime() - start < due) {
                Thread.onSpinWait();
            }
            return;
        }
        long ahead = due - (System.nanoTime() - start);
        if (ahead >= LEAST_SLEEP_NS || (ahead > 0 && paceNs >= LEAST_SLEEP_NS)) {
            LockSupport.parkNanos(ahead);
        }
    }

    private static long cpuNs() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    private static long maxRss() throws Exception {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
            }
        }
        return 0;
    }

    /** As forebay_peer_driver::Values. */
    private static final class Values {
        private static final int HEAD = 12;
        private static final int TABLE = 64 * 1024;
        private static final int STRIDE = 499;
        private static final String[] NAMES = {
            "checkout", "payment", "inventory", "search", "session", "profile", "catalogue", "shipping", "refund",
            "recommend", "gateway", "audit", "pricing", "coupon", "address", "invoice",
        };

        private final byte[][] prepared;
        private long sequence;
        private long state;

        Values(int sender, int size, boolean text) {
            prepared = new byte[text ? Math.max((2 << 20) / size, 8) : 64][size];
            byte[] source = text ? text(sender, prepared.length * size) : table();
            for (int i = 0; i < prepared.length; i++) {
                byte[] value = prepared[i];
                if (text) {
                    System.arraycopy(source, i * size, value, 0, size);
                } else {
                    int from = i * STRIDE;
                    for (int at = HEAD; at < size; at++) {
                        value[at] = source[from];
                        from = from + 1 == TABLE ? 0 : from + 1;
                    }
                }
                for (int at = 0; at < 4; at++) {
                    value[at] = (byte) (sender >>> (8 * at));
                }
            }
        }

        byte[] next() {
            byte[] value = prepared[(int) (sequence % prepared.length)];
            for (int at = 0; at < 8; at++) {
                value[4 + at] = (byte) (sequence >>> (8 * at));
            }
            sequence++;
            return value;
        }

        private long word() {
            state += 0x9E3779B97F4A7C15L;
            long word = state;
            word = (word ^ (word >>> 30)) * 0xBF58476D1CE4E5B9L;
            word = (word ^ (word >>> 27)) * 0x94D049BB133111EBL;
            return word ^ (word >>> 31);
        }

        private byte[] table() {
            state = 0x9E3779B97F4A7C15L;
            byte[] table = new byte[TABLE];
            for (int at = 0; at < TABLE; at += 8) {
                long word = word();
                for (int i = 0; i < 8; i++) {
                    table[at + i] = (byte) (word >>> (8 * i));
                }
            }
            return table;
        }

        private byte[] text(int sender, int size) {
            state = sender + 1;
            StringBuilder text = new StringBuilder(size + 200);
            while (text.length() < size) {
                long word = word();
                text.append("{\"service\":\"").append(NAMES[(int) (word & 15)]);
                text.append("\",\"event\":\"").append(NAMES[(int) (word >>> 4 & 15)]).append('-').append(word >>> 8 & 7);
                text.append("\",\"id\":").append(word >>> 20);
                text.append(",\"user\":").append(Long.remainderUnsigned(word(), 100_000));
                text.append(",\"ms\":").append(word >>> 12 & 255);
                text.append(",\"ok\":").append((word >>> 11 & 15) != 0).append("}\n");
            }
            return text.toString().getBytes(StandardCharsets.ISO_8859_1);
        }
    }

    /** As forebay_peer_driver::Histogram. Values of several threads must be added up. */
    private static final class Histogram {
        private long[] counts = new long[64 * 60];
        private long max;

        synchronized void record(long value) {
            int shift = Math.max(64 - Long.numberOfLeadingZeros(value) - 7, 0);
            counts[shift * 64 + (int) (value >>> shift)]++;
            max = Math.max(max, value);
        }

        synchronized void clear() {
            counts = new long[64 * 60];
            max = 0;
        }

        synchronized void add(Histogram other) {
            for (int i = 0; i < counts.length; i++) {
                counts[i] += other.counts[i];
            }
            max = Math.max(max, other.max);
        }

        synchronized String json() {
            StringBuilder text = new StringBuilder("{\"max\":" + max + ",\"counts\":[");
            String comma = "";
            for (int i = 0; i < counts.length; i++) {
                if (counts[i] > 0) {
                    int shift = Math.max(i / 64 - 1, 0);
                    text.append(comma).append('[').append((long) (i - shift * 64) << shift).append(',').append(counts[i]).append(']');
                    comma = ",";
                }
            }
            return text.append("]}").toString();
        }
    }
}
