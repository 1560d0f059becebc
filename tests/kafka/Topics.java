import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;

/** Makes topics. Usage: {@code Topics BOOTSTRAP NAME:PARTITIONS ...}. */
public final class Topics {
    private Topics() {}

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments[0]);
        List<NewTopic> topics = new ArrayList<>();
        for (int i = 1; i < arguments.length; i++) {
            int colon = arguments[i].lastIndexOf(':');
            int partitions = Integer.parseInt(arguments[i].substring(colon + 1));
            topics.add(new NewTopic(arguments[i].substring(0, colon), partitions, (short) 1));
        }
        try (Admin admin = Admin.create(properties)) {
            admin.createTopics(topics).all().get();
        }
    }
}
