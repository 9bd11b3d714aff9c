import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.yarn.api.records.Container;
import org.apache.hadoop.yarn.api.records.ContainerLaunchContext;
import org.apache.hadoop.yarn.api.records.Priority;
import org.apache.hadoop.yarn.api.records.Resource;
import org.apache.hadoop.yarn.client.api.AMRMClient;
import org.apache.hadoop.yarn.client.api.AMRMClient.ContainerRequest;
import org.apache.hadoop.yarn.client.api.NMClient;
import org.apache.hadoop.yarn.conf.YarnConfiguration;

/**
 * A plain application master: registers, asks for containers, lets each sleep, and beats until it is killed.
 *
 * <p>Arguments: how many containers, then MiB, virtual cores and GPUs of each.
 */
public final class Master {
    private static final int BEAT_MILLISECONDS = 200;

    private Master() {}

    public static void main(String[] args) throws Exception {
        YarnConfiguration conf = new YarnConfiguration();
        AMRMClient<ContainerRequest> manager = AMRMClient.createAMRMClient();
        manager.init(conf);
        manager.start();
        manager.registerApplicationMaster("", 0, "");
        NMClient nodes = NMClient.createNMClient();
        nodes.init(conf);
        nodes.start();
        Resource each =
                Resource.newInstance(
                        Long.parseLong(args[1]),
                        Integer.parseInt(args[2]),
                        Map.of("yarn.io/gpu", Long.parseLong(args[3])));
        for (int i = 0; i < Integer.parseInt(args[0]); i++) {
            manager.addContainerRequest(new ContainerRequest(each, null, null, Priority.newInstance(0)));
        }
        while (true) {
            for (Container container : manager.allocate(0).getAllocatedContainers()) {
                nodes.startContainer(container, sleeping());
                manager.removeContainerRequest(new ContainerRequest(each, null, null, Priority.newInstance(0)));
            }
            Thread.sleep(BEAT_MILLISECONDS);
        }
    }

    private static ContainerLaunchContext sleeping() {
        List<String> command = List.of("exec", "sleep", "3600");
        return ContainerLaunchContext.newInstance(
                Collections.emptyMap(), Collections.emptyMap(), command, Collections.emptyMap(), null, null);
    }
}
