package dev.turnout.client;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/** Reads a paged list to its end. */
final class Pages {
  private Pages() {}

  /** All items; {@code ask} is given "" for the first page and each page's own token after. */
  static <P, T> List<T> read(
      Function<String, P> ask, Function<P, List<T>> items, Function<P, String> nextToken) {
    List<T> all = new ArrayList<>();
    String token = "";
    do {
      P page = ask.apply(token);
      all.addAll(items.apply(page));
      token = nextToken.apply(page);
    } while (!token.isEmpty());
    return List.copyOf(all);
  }
}
