package dev.turnout.admin.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * What an operator may do to one running instance. Served on a port of its own; nothing done here
 * reaches another instance or outlives a restart.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class AdminServiceGrpc {

  private AdminServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "turnout.admin.v1.AdminService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<dev.turnout.admin.v1.SetProviderEnabledRequest,
      dev.turnout.admin.v1.SetProviderEnabledResponse> getSetProviderEnabledMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "SetProviderEnabled",
      requestType = dev.turnout.admin.v1.SetProviderEnabledRequest.class,
      responseType = dev.turnout.admin.v1.SetProviderEnabledResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.turnout.admin.v1.SetProviderEnabledRequest,
      dev.turnout.admin.v1.SetProviderEnabledResponse> getSetProviderEnabledMethod() {
    io.grpc.MethodDescriptor<dev.turnout.admin.v1.SetProviderEnabledRequest, dev.turnout.admin.v1.SetProviderEnabledResponse> getSetProviderEnabledMethod;
    if ((getSetProviderEnabledMethod = AdminServiceGrpc.getSetProviderEnabledMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getSetProviderEnabledMethod = AdminServiceGrpc.getSetProviderEnabledMethod) == null) {
          AdminServiceGrpc.getSetProviderEnabledMethod = getSetProviderEnabledMethod =
              io.grpc.MethodDescriptor.<dev.turnout.admin.v1.SetProviderEnabledRequest, dev.turnout.admin.v1.SetProviderEnabledResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "SetProviderEnabled"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.turnout.admin.v1.SetProviderEnabledRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.turnout.admin.v1.SetProviderEnabledResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("SetProviderEnabled"))
              .build();
        }
      }
    }
    return getSetProviderEnabledMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.turnout.admin.v1.ResetCircuitRequest,
      dev.turnout.admin.v1.ResetCircuitResponse> getResetCircuitMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ResetCircuit",
      requestType = dev.turnout.admin.v1.ResetCircuitRequest.class,
      responseType = dev.turnout.admin.v1.ResetCircuitResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.turnout.admin.v1.ResetCircuitRequest,
      dev.turnout.admin.v1.ResetCircuitResponse> getResetCircuitMethod() {
    io.grpc.MethodDescriptor<dev.turnout.admin.v1.ResetCircuitRequest, dev.turnout.admin.v1.ResetCircuitResponse> getResetCircuitMethod;
    if ((getResetCircuitMethod = AdminServiceGrpc.getResetCircuitMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getResetCircuitMethod = AdminServiceGrpc.getResetCircuitMethod) == null) {
          AdminServiceGrpc.getResetCircuitMethod = getResetCircuitMethod =
              io.grpc.MethodDescriptor.<dev.turnout.admin.v1.ResetCircuitRequest, dev.turnout.admin.v1.ResetCircuitResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ResetCircuit"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.turnout.admin.v1.ResetCircuitRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.turnout.admin.v1.ResetCircuitResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ResetCircuit"))
              .build();
        }
      }
    }
    return getResetCircuitMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.turnout.admin.v1.InvalidateCacheRequest,
      dev.turnout.admin.v1.InvalidateCacheResponse> getInvalidateCacheMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "InvalidateCache",
      requestType = dev.turnout.admin.v1.InvalidateCacheRequest.class,
      responseType = dev.turnout.admin.v1.InvalidateCacheResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.turnout.admin.v1.InvalidateCacheRequest,
      dev.turnout.admin.v1.InvalidateCacheResponse> getInvalidateCacheMethod() {
    io.grpc.MethodDescriptor<dev.turnout.admin.v1.InvalidateCacheRequest, dev.turnout.admin.v1.InvalidateCacheResponse> getInvalidateCacheMethod;
    if ((getInvalidateCacheMethod = AdminServiceGrpc.getInvalidateCacheMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getInvalidateCacheMethod = AdminServiceGrpc.getInvalidateCacheMethod) == null) {
          AdminServiceGrpc.getInvalidateCacheMethod = getInvalidateCacheMethod =
              io.grpc.MethodDescriptor.<dev.turnout.admin.v1.InvalidateCacheRequest, dev.turnout.admin.v1.InvalidateCacheResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "InvalidateCache"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.turnout.admin.v1.InvalidateCacheRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.turnout.admin.v1.InvalidateCacheResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("InvalidateCache"))
              .build();
        }
      }
    }
    return getInvalidateCacheMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.turnout.admin.v1.ReloadConfigRequest,
      dev.turnout.admin.v1.ReloadConfigResponse> getReloadConfigMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ReloadConfig",
      requestType = dev.turnout.admin.v1.ReloadConfigRequest.class,
      responseType = dev.turnout.admin.v1.ReloadConfigResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.turnout.admin.v1.ReloadConfigRequest,
      dev.turnout.admin.v1.ReloadConfigResponse> getReloadConfigMethod() {
    io.grpc.MethodDescriptor<dev.turnout.admin.v1.ReloadConfigRequest, dev.turnout.admin.v1.ReloadConfigResponse> getReloadConfigMethod;
    if ((getReloadConfigMethod = AdminServiceGrpc.getReloadConfigMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getReloadConfigMethod = AdminServiceGrpc.getReloadConfigMethod) == null) {
          AdminServiceGrpc.getReloadConfigMethod = getReloadConfigMethod =
              io.grpc.MethodDescriptor.<dev.turnout.admin.v1.ReloadConfigRequest, dev.turnout.admin.v1.ReloadConfigResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ReloadConfig"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.turnout.admin.v1.ReloadConfigRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.turnout.admin.v1.ReloadConfigResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ReloadConfig"))
              .build();
        }
      }
    }
    return getReloadConfigMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static AdminServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceStub>() {
        @java.lang.Override
        public AdminServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceStub(channel, callOptions);
        }
      };
    return AdminServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static AdminServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingV2Stub>() {
        @java.lang.Override
        public AdminServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return AdminServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static AdminServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingStub>() {
        @java.lang.Override
        public AdminServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceBlockingStub(channel, callOptions);
        }
      };
    return AdminServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static AdminServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceFutureStub>() {
        @java.lang.Override
        public AdminServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceFutureStub(channel, callOptions);
        }
      };
    return AdminServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * What an operator may do to one running instance. Served on a port of its own; nothing done here
   * reaches another instance or outlives a restart.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Switches a provider off or on. Calls under way are left to finish.
     * </pre>
     */
    default void setProviderEnabled(dev.turnout.admin.v1.SetProviderEnabledRequest request,
        io.grpc.stub.StreamObserver<dev.turnout.admin.v1.SetProviderEnabledResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getSetProviderEnabledMethod(), responseObserver);
    }

    /**
     * <pre>
     * Closes circuits at once, so that resting providers are tried again.
     * </pre>
     */
    default void resetCircuit(dev.turnout.admin.v1.ResetCircuitRequest request,
        io.grpc.stub.StreamObserver<dev.turnout.admin.v1.ResetCircuitResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getResetCircuitMethod(), responseObserver);
    }

    /**
     * <pre>
     * Drops answers from the cache.
     * </pre>
     */
    default void invalidateCache(dev.turnout.admin.v1.InvalidateCacheRequest request,
        io.grpc.stub.StreamObserver<dev.turnout.admin.v1.InvalidateCacheResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getInvalidateCacheMethod(), responseObserver);
    }

    /**
     * <pre>
     * Reads the configuration again, whole or not at all.
     * A file that is refused changes nothing and fails the call with FAILED_PRECONDITION and the
     * line at fault. Calls under way keep the configuration that they began with.
     * </pre>
     */
    default void reloadConfig(dev.turnout.admin.v1.ReloadConfigRequest request,
        io.grpc.stub.StreamObserver<dev.turnout.admin.v1.ReloadConfigResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getReloadConfigMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service AdminService.
   * <pre>
   * What an operator may do to one running instance. Served on a port of its own; nothing done here
   * reaches another instance or outlives a restart.
   * </pre>
   */
  public static abstract class AdminServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return AdminServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service AdminService.
   * <pre>
   * What an operator may do to one running instance. Served on a port of its own; nothing done here
   * reaches another instance or outlives a restart.
   * </pre>
   */
  public static final class AdminServiceStub
      extends io.grpc.stub.AbstractAsyncStub<AdminServiceStub> {
    private AdminServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Switches a provider off or on. Calls under way are left to finish.
     * </pre>
     */
    public void setProviderEnabled(dev.turnout.admin.v1.SetProviderEnabledRequest request,
        io.grpc.stub.StreamObserver<dev.turnout.admin.v1.SetProviderEnabledResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getSetProviderEnabledMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Closes circuits at once, so that resting providers are tried again.
     * </pre>
     */
    public void resetCircuit(dev.turnout.admin.v1.ResetCircuitRequest request,
        io.grpc.stub.StreamObserver<dev.turnout.admin.v1.ResetCircuitResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getResetCircuitMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Drops answers from the cache.
     * </pre>
     */
    public void invalidateCache(dev.turnout.admin.v1.InvalidateCacheRequest request,
        io.grpc.stub.StreamObserver<dev.turnout.admin.v1.InvalidateCacheResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getInvalidateCacheMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Reads the configuration again, whole or not at all.
     * A file that is refused changes nothing and fails the call with FAILED_PRECONDITION and the
     * line at fault. Calls under way keep the configuration that they began with.
     * </pre>
     */
    public void reloadConfig(dev.turnout.admin.v1.ReloadConfigRequest request,
        io.grpc.stub.StreamObserver<dev.turnout.admin.v1.ReloadConfigResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getReloadConfigMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service AdminService.
   * <pre>
   * What an operator may do to one running instance. Served on a port of its own; nothing done here
   * reaches another instance or outlives a restart.
   * </pre>
   */
  public static final class AdminServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<AdminServiceBlockingV2Stub> {
    private AdminServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Switches a provider off or on. Calls under way are left to finish.
     * </pre>
     */
    public dev.turnout.admin.v1.SetProviderEnabledResponse setProviderEnabled(dev.turnout.admin.v1.SetProviderEnabledRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getSetProviderEnabledMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Closes circuits at once, so that resting providers are tried again.
     * </pre>
     */
    public dev.turnout.admin.v1.ResetCircuitResponse resetCircuit(dev.turnout.admin.v1.ResetCircuitRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getResetCircuitMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Drops answers from the cache.
     * </pre>
     */
    public dev.turnout.admin.v1.InvalidateCacheResponse invalidateCache(dev.turnout.admin.v1.InvalidateCacheRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getInvalidateCacheMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reads the configuration again, whole or not at all.
     * A file that is refused changes nothing and fails the call with FAILED_PRECONDITION and the
     * line at fault. Calls under way keep the configuration that they began with.
     * </pre>
     */
    public dev.turnout.admin.v1.ReloadConfigResponse reloadConfig(dev.turnout.admin.v1.ReloadConfigRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getReloadConfigMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service AdminService.
   * <pre>
   * What an operator may do to one running instance. Served on a port of its own; nothing done here
   * reaches another instance or outlives a restart.
   * </pre>
   */
  public static final class AdminServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<AdminServiceBlockingStub> {
    private AdminServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Switches a provider off or on. Calls under way are left to finish.
     * </pre>
     */
    public dev.turnout.admin.v1.SetProviderEnabledResponse setProviderEnabled(dev.turnout.admin.v1.SetProviderEnabledRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getSetProviderEnabledMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Closes circuits at once, so that resting providers are tried again.
     * </pre>
     */
    public dev.turnout.admin.v1.ResetCircuitResponse resetCircuit(dev.turnout.admin.v1.ResetCircuitRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getResetCircuitMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Drops answers from the cache.
     * </pre>
     */
    public dev.turnout.admin.v1.InvalidateCacheResponse invalidateCache(dev.turnout.admin.v1.InvalidateCacheRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getInvalidateCacheMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reads the configuration again, whole or not at all.
     * A file that is refused changes nothing and fails the call with FAILED_PRECONDITION and the
     * line at fault. Calls under way keep the configuration that they began with.
     * </pre>
     */
    public dev.turnout.admin.v1.ReloadConfigResponse reloadConfig(dev.turnout.admin.v1.ReloadConfigRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getReloadConfigMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service AdminService.
   * <pre>
   * What an operator may do to one running instance. Served on a port of its own; nothing done here
   * reaches another instance or outlives a restart.
   * </pre>
   */
  public static final class AdminServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<AdminServiceFutureStub> {
    private AdminServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Switches a provider off or on. Calls under way are left to finish.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.turnout.admin.v1.SetProviderEnabledResponse> setProviderEnabled(
        dev.turnout.admin.v1.SetProviderEnabledRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getSetProviderEnabledMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Closes circuits at once, so that resting providers are tried again.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.turnout.admin.v1.ResetCircuitResponse> resetCircuit(
        dev.turnout.admin.v1.ResetCircuitRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getResetCircuitMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Drops answers from the cache.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.turnout.admin.v1.InvalidateCacheResponse> invalidateCache(
        dev.turnout.admin.v1.InvalidateCacheRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getInvalidateCacheMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Reads the configuration again, whole or not at all.
     * A file that is refused changes nothing and fails the call with FAILED_PRECONDITION and the
     * line at fault. Calls under way keep the configuration that they began with.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.turnout.admin.v1.ReloadConfigResponse> reloadConfig(
        dev.turnout.admin.v1.ReloadConfigRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getReloadConfigMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_SET_PROVIDER_ENABLED = 0;
  private static final int METHODID_RESET_CIRCUIT = 1;
  private static final int METHODID_INVALIDATE_CACHE = 2;
  private static final int METHODID_RELOAD_CONFIG = 3;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_SET_PROVIDER_ENABLED:
          serviceImpl.setProviderEnabled((dev.turnout.admin.v1.SetProviderEnabledRequest) request,
              (io.grpc.stub.StreamObserver<dev.turnout.admin.v1.SetProviderEnabledResponse>) responseObserver);
          break;
        case METHODID_RESET_CIRCUIT:
          serviceImpl.resetCircuit((dev.turnout.admin.v1.ResetCircuitRequest) request,
              (io.grpc.stub.StreamObserver<dev.turnout.admin.v1.ResetCircuitResponse>) responseObserver);
          break;
        case METHODID_INVALIDATE_CACHE:
          serviceImpl.invalidateCache((dev.turnout.admin.v1.InvalidateCacheRequest) request,
              (io.grpc.stub.StreamObserver<dev.turnout.admin.v1.InvalidateCacheResponse>) responseObserver);
          break;
        case METHODID_RELOAD_CONFIG:
          serviceImpl.reloadConfig((dev.turnout.admin.v1.ReloadConfigRequest) request,
              (io.grpc.stub.StreamObserver<dev.turnout.admin.v1.ReloadConfigResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getSetProviderEnabledMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.turnout.admin.v1.SetProviderEnabledRequest,
              dev.turnout.admin.v1.SetProviderEnabledResponse>(
                service, METHODID_SET_PROVIDER_ENABLED)))
        .addMethod(
          getResetCircuitMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.turnout.admin.v1.ResetCircuitRequest,
              dev.turnout.admin.v1.ResetCircuitResponse>(
                service, METHODID_RESET_CIRCUIT)))
        .addMethod(
          getInvalidateCacheMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.turnout.admin.v1.InvalidateCacheRequest,
              dev.turnout.admin.v1.InvalidateCacheResponse>(
                service, METHODID_INVALIDATE_CACHE)))
        .addMethod(
          getReloadConfigMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.turnout.admin.v1.ReloadConfigRequest,
              dev.turnout.admin.v1.ReloadConfigResponse>(
                service, METHODID_RELOAD_CONFIG)))
        .build();
  }

  private static abstract class AdminServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    AdminServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return dev.turnout.admin.v1.AdminServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("AdminService");
    }
  }

  private static final class AdminServiceFileDescriptorSupplier
      extends AdminServiceBaseDescriptorSupplier {
    AdminServiceFileDescriptorSupplier() {}
  }

  private static final class AdminServiceMethodDescriptorSupplier
      extends AdminServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    AdminServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (AdminServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new AdminServiceFileDescriptorSupplier())
              .addMethod(getSetProviderEnabledMethod())
              .addMethod(getResetCircuitMethod())
              .addMethod(getInvalidateCacheMethod())
              .addMethod(getReloadConfigMethod())
              .build();
        }
      }
    }
    return result;
  }
}
