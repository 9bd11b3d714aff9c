import java.io.FileOutputStream;
import java.io.OutputStream;
import java.lang.reflect.Field;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.metrics2.lib.DefaultMetricsSystem;
import org.apache.hadoop.util.ExitUtil;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.apache.hadoop.yarn.server.nodemanager.NodeManager;
import org.apache.hadoop.yarn.server.resourcemanager.ResourceManager;
import org.apache.hadoop.yarn.webapp.WebApp;

/**
 * A real ResourceManager with real NodeManagers in one process, on loopback addresses with free ports, until its standard
 * input ends.
 *
 * <p>Arguments: a folder whose conf/ is on the class path (yarn-site.xml, capacity-scheduler.xml, resource-types.xml), then
 * the names of the nodes, which the file of -Djdk.net.hosts.file resolves. Once all nodes are registered it writes the
 * ports in use to conf/yarn-site.xml, so that rmadmin finds them, and prints the port of the REST API on a line of its own.
 */
public final class Cluster {
    private Cluster() {}

    public static void main(String[] args) throws Exception {
        Path folder = Path.of(args[0]);
        DefaultMetricsSystem.setMiniClusterMode(true); // several NodeManagers in one process
        ExitUtil.disableSystemExit(); // a decommissioned NodeManager ends itself, not the others
        ResourceManager manager = new ResourceManager();
        manager.init(new YarnConfiguration());
        manager.start();
        List<NodeManager> nodes = new ArrayList<>();
        for (int i = 1; i < args.length; i++) {
            nodes.add(started(new YarnConfiguration(manager.getConfig()), folder, args[i]));
        }
        while (manager.getResourceScheduler().getNumClusterNodes() < nodes.size()) {
            Thread.sleep(20);
        }
        try (OutputStream out = new FileOutputStream(folder.resolve("conf").resolve("yarn-site.xml").toFile())) {
            manager.getConfig().writeXml(out);
        }
        System.out.println(port(manager));
        System.out.flush();
        while (System.in.read() >= 0) {
            continue; // whoever started us still lives
        }
        nodes.parallelStream().forEach(NodeManager::stop); // which ends their containers
        Runtime.getRuntime().halt(0);
    }

    private static NodeManager started(Configuration conf, Path folder, String name) throws Exception {
        Path own = Files.createDirectories(folder.resolve(name));
        conf.set(YarnConfiguration.NM_ADDRESS, name + ":0");
        conf.set(YarnConfiguration.NM_LOCALIZER_ADDRESS, name + ":0");
        conf.set(YarnConfiguration.NM_COLLECTOR_SERVICE_ADDRESS, name + ":0");
        conf.set(YarnConfiguration.NM_WEBAPP_ADDRESS, name + ":0");
        conf.set(YarnConfiguration.NM_LOCAL_DIRS, own.resolve("local").toString());
        conf.set(YarnConfiguration.NM_LOG_DIRS, own.resolve("log").toString());
        NodeManager node = new NodeManager();
        node.init(conf);
        node.start();
        return node;
    }

    /** The port that the REST API was given; the ResourceManager tells it nobody else. */
    private static int port(ResourceManager manager) throws ReflectiveOperationException {
        Field field = ResourceManager.class.getDeclaredField("webApp");
        field.setAccessible(true);
        return ((WebApp) field.get(manager)).port();
    }
}
