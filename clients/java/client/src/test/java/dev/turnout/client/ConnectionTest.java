package dev.turnout.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.turnout.client.errors.UnavailableException;
import dev.turnout.v1.ChatRequest;
import dev.turnout.v1.ChatServiceGrpc;
import io.grpc.TlsServerCredentials;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.protobuf.services.HealthStatusManager;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(20)
class ConnectionTest {
  private static final ScriptedChat CHAT =
      new ScriptedChat(ScriptedChat.text("Hello."), ScriptedChat.finish(0));
  private static Certificate ofServer;
  private static Certificate ofClient;

  @BeforeAll
  static void makeCertificates(@TempDir Path folder) throws Exception {
    ofServer = Certificate.make(folder, "server");
    ofClient = Certificate.make(folder, "client");
  }

  private static String ask(TurnoutClientBuilder builder) {
    try (var client = builder.maxAttempts(1).build();
        var stream = client.chat("m", "Hi.")) {
      return stream.collect().text();
    }
  }

  @Test
  void aTrustedServerIsTalkedTo() throws IOException {
    var credentials = TlsServerCredentials.create(ofServer.chain(), ofServer.privateKey());
    try (var gateway = new ScriptedGateway(credentials, CHAT)) {
      var builder = TurnoutClient.builder(gateway.address()).tls(ofServer.chain());
      assertEquals("Hello.", ask(builder));
    }
  }

  @Test
  void anUnknownServerIsNot() throws IOException {
    var credentials = TlsServerCredentials.create(ofServer.chain(), ofServer.privateKey());
    try (var gateway = new ScriptedGateway(credentials, CHAT)) {
      var builder = TurnoutClient.builder(gateway.address()).tls();
      assertThrows(UnavailableException.class, () -> ask(builder));
    }
  }

  @Test
  void theClientShowsItsCertificate() throws IOException {
    var credentials =
        TlsServerCredentials.newBuilder()
            .keyManager(ofServer.chain(), ofServer.privateKey())
            .trustManager(ofClient.chain())
            .clientAuth(TlsServerCredentials.ClientAuth.REQUIRE)
            .build();
    try (var gateway = new ScriptedGateway(credentials, CHAT)) {
      var without = TurnoutClient.builder(gateway.address()).tls(ofServer.chain());
      assertThrows(UnavailableException.class, () -> ask(without));
      var with =
          TurnoutClient.builder(gateway.address())
              .tls(ofServer.chain())
              .clientCertificate(ofClient.chain(), ofClient.privateKey());
      assertEquals("Hello.", ask(with));
    }
  }

  @Test
  void aCertificateThatCannotBeReadIsToldAtOnce() {
    var builder = TurnoutClient.builder("localhost:1");
    assertThrows(UncheckedIOException.class, () -> builder.tls(new File("absent.pem")));
  }

  @Test
  void anInstanceThatDoesNotServeIsLeftOut() throws Exception {
    var health = new HealthStatusManager();
    health.setStatus("", ServingStatus.NOT_SERVING);
    try (var gateway = new ScriptedGateway(CHAT, health.getHealthService())) {
      var builder = TurnoutClient.builder(gateway.address()).healthCheck();
      assertThrows(UnavailableException.class, () -> ask(builder));
      health.setStatus("", ServingStatus.SERVING);
      assertEquals("Hello.", ask(builder));
    }
  }

  @Test
  void theKeyIsAskedForBeforeEveryCall() throws IOException {
    int[] asked = {0};
    try (var gateway = new ScriptedGateway(CHAT);
        var client =
            TurnoutClient.builder(gateway.address()).apiKey(() -> "key-" + asked[0]++).build()) {
      for (String key : new String[] {"Bearer key-0", "Bearer key-1"}) {
        client.chat("m", "Hi.").collect();
        assertEquals(key, gateway.lastSeen("authorization"));
      }
    }
  }

  @Test
  void stubsOnTheChannelSayWhoCallsToo() throws IOException {
    try (var gateway = new ScriptedGateway(CHAT);
        var client =
            TurnoutClient.builder(gateway.address()).apiKey("key").tenant("tenant-1").build()) {
      var request = ChatRequest.getDefaultInstance();
      assertTrue(ChatServiceGrpc.newBlockingStub(client.channel()).chat(request).hasNext());
      assertEquals("Bearer key", gateway.lastSeen("authorization"));
      assertEquals("tenant-1", gateway.lastSeen("x-tenant-id"));
      assertTrue(gateway.lastSeen("user-agent").startsWith("turnout-java"));
    }
  }
}
