import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;

/**
 * An administrator who takes orders, a line each, and answers each with a line: {@code ok …} or {@code error …}.
 *
 * <ul>
 *   <li>{@code create TOPIC PARTITIONS COPIES MIN_IN_SYNC}
 *   <li>{@code grow TOPIC PARTITIONS}: to this many
 *   <li>{@code elect TOPIC PARTITION}: the preferred leader
 *   <li>{@code reassign TOPIC PARTITION ID,ID,…}: begins it
 *   <li>{@code describe TOPIC}: {@code ok PARTITION:LEADER:COPIES:IN_SYNC …}, leader -1 where there is none
 * </ul>
 *
 * <p>Usage: {@code AdminShell BOOTSTRAP}. Ends with its input.
 */
public final class AdminShell {
    private AdminShell() {}

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments[0]);
        // The cluster is in trouble most of the time: an order that cannot be carried out soon is given up.
        properties.put("request.timeout.ms", "4000");
        properties.put("default.api.timeout.ms", "8000");
        properties.put("socket.connection.setup.timeout.ms", "1000");
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
        try (Admin admin = Admin.create(properties)) {
            for (String line = orders.readLine(); line != null; line = orders.readLine()) {
                String answer;
                try {
                    answer = "ok " + carryOut(admin, line.split(" "));
                } catch (ExecutionException failed) {
                    answer = "error " + failed.getCause();
                }
                System.out.println(answer.replace('\n', ' '));
            }
        }
    }

    private static String carryOut(Admin admin, String[] words) throws Exception {
        switch (words[0]) {
            case "create" -> {
                NewTopic topic = new NewTopic(words[1], Integer.parseInt(words[2]), Short.parseShort(words[3]));
                topic.configs(Map.of("min.insync.replicas", words[4], "unclean.leader.election.enable", "false"));
                admin.createTopics(List.of(topic)).all().get();
                return "";
            }
            case "grow" -> {
                NewPartitions partitions = NewPartitions.increaseTo(Integer.parseInt(words[2]));
                admin.createPartitions(Map.of(words[1], partitions)).all().get();
                return "";
            }
            case "elect" -> {
                TopicPartition partition = new TopicPartition(words[1], Integer.parseInt(words[2]));
                admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).all().get();
                return "";
            }
            case "reassign" -> {
                List<Integer> copies = new ArrayList<>();
                for (String id : words[3].split(",")) {
                    copies.add(Integer.parseInt(id));
                }
                TopicPartition partition = new TopicPartition(words[1], Integer.parseInt(words[2]));
                admin.alterPartitionReassignments(Map.of(partition, Optional.of(new NewPartitionReassignment(copies))))
                        .all().get();
                return "";
            }
            case "describe" -> {
                StringBuilder text = new StringBuilder();
                for (TopicPartitionInfo info :
                        admin.describeTopics(List.of(words[1])).allTopicNames().get().get(words[1]).partitions()) {
                    Node leader = info.leader();
                    text.append(info.partition()).append(':').append(leader == null || leader.isEmpty() ? -1 : leader.id())
                            .append(':').append(ids(info.replicas())).append(':').append(ids(info.isr())).append(' ');
                }
                return text.toString().trim();
            }
            default -> throw new IllegalArgumentException(words[0]);
        }
    }

    private static String ids(List<Node> nodes) {
        return nodes.stream().map(Node::idString).collect(Collectors.joining(","));
    }
}
