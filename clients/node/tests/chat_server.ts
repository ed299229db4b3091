/** A real server of ChatService whose Chat does what a test says. */
import {
  Metadata,
  Server,
  ServerCredentials,
  type status,
  type ServerUnaryCall,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import {
  ChatServiceService,
  CompleteChatResponse,
  type ChatRequest,
  type ChatResponse,
} from "../src/gen/turnout/v1/chat_service.js";

export type ChatCall = ServerWritableStream<ChatRequest, ChatResponse>;

/** A running server; leaving its `using` block stops it. */
export interface ChatServer extends Disposable {
  readonly address: string;
}

export async function serveChat(
  chat: (call: ChatCall) => void,
  credentials = ServerCredentials.createInsecure(),
): Promise<ChatServer> {
  const server = new Server();
  server.addService(ChatServiceService, {
    chat,
    completeChat: (
      call: ServerUnaryCall<ChatRequest, CompleteChatResponse>,
      answer: (error: null, response: CompleteChatResponse) => void,
    ) => {
      answer(null, CompleteChatResponse.fromPartial({ text: call.request.model, finish: {} }));
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("localhost:0", credentials, (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  return {
    address: `localhost:${port}`,
    [Symbol.dispose]: () => {
      server.forceShutdown();
    },
  };
}

/** Ends a call with this status. */
export function failWith(call: ChatCall, code: status, details: string, packed?: Uint8Array): void {
  const metadata = new Metadata();
  if (packed !== undefined) metadata.set("grpc-status-details-bin", Buffer.from(packed));
  call.emit("error", { code, details, metadata });
}
