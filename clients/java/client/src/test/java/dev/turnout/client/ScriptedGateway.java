package dev.turnout.client;

import io.grpc.BindableService;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerCredentials;
import io.grpc.ServerInterceptor;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.logging.Level;
import java.util.logging.Logger;

/** A real gRPC server on a free port, with services written by the test. */
final class ScriptedGateway implements AutoCloseable {
  /** Kept from warning of each caller who leaves early, which is what these tests do. */
  private static final Logger NETTY =
      Logger.getLogger("io.grpc.netty.shaded.io.grpc.netty.NettyServerHandler");

  static {
    NETTY.setLevel(Level.SEVERE);
  }

  /** The metadata of every call, in order. */
  final List<Metadata> seen = new CopyOnWriteArrayList<>();

  private final Server server;

  ScriptedGateway(BindableService... services) throws IOException {
    this(InsecureServerCredentials.create(), services);
  }

  ScriptedGateway(ServerCredentials credentials, BindableService... services) throws IOException {
    var builder = Grpc.newServerBuilderForPort(0, credentials).intercept(new Noting());
    List.of(services).forEach(builder::addService);
    server = builder.build().start();
  }

  String address() {
    return "localhost:" + server.getPort();
  }

  TurnoutClient connect() {
    return TurnoutClient.connect(address());
  }

  String lastSeen(String header) {
    return seen.get(seen.size() - 1).get(Headers.key(header));
  }

  @Override
  public void close() {
    server.shutdownNow();
  }

  private final class Noting implements ServerInterceptor {
    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
      seen.add(headers);
      return next.startCall(call, headers);
    }
  }
}
