package dev.turnout.client.smoke;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.turnout.client.Repository;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A running clients/smoke/server.py, which ends when this is closed or this process dies, or the
 * server that the file SMOKE_SERVER names.
 */
final class SmokeServer implements AutoCloseable {
  private static final long POLL_MS = 20;

  private final HttpClient http = HttpClient.newHttpClient();
  private final Process process;
  private final JsonObject ready;

  SmokeServer(Path folder) throws IOException, InterruptedException {
    String given = System.getenv("SMOKE_SERVER");
    Path portFile = given == null ? folder.resolve("ready.json") : Path.of(given);
    process = given == null ? start(portFile) : null;
    while (!Files.exists(portFile)) {
      if (process == null || !process.isAlive()) {
        throw new IllegalStateException("the smoke server did not start");
      }
      Thread.sleep(POLL_MS);
    }
    ready = JsonParser.parseString(Files.readString(portFile)).getAsJsonObject();
  }

  private static Process start(Path portFile) throws IOException {
    String script = Repository.file("clients/smoke/server.py").toString();
    return new ProcessBuilder(
            Repository.python(), script, "--port-file", portFile.toString(), "--with-parent")
        .redirectOutput(ProcessBuilder.Redirect.INHERIT)
        .redirectError(ProcessBuilder.Redirect.INHERIT)
        .start();
  }

  String address() {
    return ready.get("address").getAsString();
  }

  String apiKey() {
    return ready.get("api_key").getAsString();
  }

  /** What the server saw of the calls with this id, once they have ended. */
  JsonArray callsSeen(String requestId) throws IOException, InterruptedException {
    String id = URLEncoder.encode(requestId, StandardCharsets.UTF_8);
    URI uri = URI.create(ready.get("report").getAsString() + "/calls?request_id=" + id);
    String body = http.send(HttpRequest.newBuilder(uri).build(), BodyHandlers.ofString()).body();
    return JsonParser.parseString(body).getAsJsonObject().getAsJsonArray("calls");
  }

  @Override
  public void close() throws IOException {
    if (process != null) {
      process.getOutputStream().close();
    }
  }
}
