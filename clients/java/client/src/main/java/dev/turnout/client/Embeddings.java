package dev.turnout.client;

import dev.turnout.v1.EmbedRequest;
import dev.turnout.v1.EmbedResponse;
import dev.turnout.v1.Route;
import dev.turnout.v1.Usage;
import java.util.List;

/**
 * The vectors of a batch, and what they took.
 *
 * @param vectors in the order of the texts
 * @param dimensions numbers in each
 * @param usage tokens and cost
 * @param route who answered
 * @param upstreamCalls calls made to providers
 * @param cacheHits texts whose vectors were in the cache
 */
public record Embeddings(
    List<float[]> vectors,
    int dimensions,
    Usage usage,
    Route route,
    int upstreamCalls,
    int cacheHits) {

  static Embeddings of(EmbedResponse response, EmbedRequest request) {
    return new Embeddings(
        response.getEmbeddingsList().stream()
            .map(each -> Vectors.of(each, request.getEncoding(), response.getDimensions()))
            .toList(),
        response.getDimensions(),
        response.getUsage(),
        response.getRoute(),
        response.getUpstreamCalls(),
        response.getCacheHits());
  }
}
