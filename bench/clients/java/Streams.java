import dev.turnout.client.TurnoutClient;
import dev.turnout.client.errors.TurnoutException;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;

/** Streams through the Java client: ADDRESS MODEL STREAMS AT_ONCE; prints how they ended. */
public final class Streams {
  private static final Map<String, Integer> ENDED = new TreeMap<>();
  private static final AtomicLong CHARACTERS = new AtomicLong();

  private Streams() {}

  public static void main(String[] arguments) throws InterruptedException {
    var left = new AtomicInteger(Integer.parseInt(arguments[2]));
    int atOnce = Integer.parseInt(arguments[3]);
    var callers = Executors.newFixedThreadPool(atOnce);
    try (var client = TurnoutClient.connect(arguments[0])) {
      for (int i = 0; i < atOnce; i++) {
        callers.execute(() -> {
          while (left.getAndDecrement() > 0) {
            note(call(client, arguments[1]));
          }
        });
      }
      callers.shutdown();
      callers.awaitTermination(1, TimeUnit.HOURS);
    }
    String ended = ENDED.entrySet().stream()
        .map(each -> "\"" + each.getKey() + "\": " + each.getValue())
        .collect(Collectors.joining(", "));
    System.out.println("{\"ended\": {" + ended + "}, \"characters\": " + CHARACTERS + "}");
  }

  private static String call(TurnoutClient client, String model) {
    try (var stream = client.chat(model, "Hello")) {
      for (String text : stream.text()) {
        CHARACTERS.addAndGet(text.codePointCount(0, text.length()));
      }
      return "OK";
    } catch (TurnoutException failed) {
      return failed.reason().name().replaceFirst("^ERROR_REASON_", "");
    }
  }

  private static synchronized void note(String reason) {
    ENDED.merge(reason, 1, Integer::sum);
  }
}
