// Runs kafka.Kafka for as long as standard input stays open, so that no broker outlives the test that started it,
// however that test ends.

/** Usage: {@code java -cp JARS:CLASSES Broker server.properties}. */
public final class Broker {
    private Broker() {}

    public static void main(String[] arguments) throws Exception {
        Thread leash = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    // Nobody writes; only the end matters.
                }
            } catch (java.io.IOException ended) {
                System.err.println("standard input: " + ended);
            }
            Runtime.getRuntime().halt(3);
        }, "leash");
        leash.setDaemon(true);
        leash.start();
        kafka.Kafka.main(arguments);
    }
}
