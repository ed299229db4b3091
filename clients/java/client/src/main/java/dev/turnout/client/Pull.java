package dev.turnout.client;

import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.function.Supplier;

/** An iterator over what a supplier gives, until it gives null. */
final class Pull<T> implements Iterator<T> {
  private final Supplier<T> next;
  private T ahead;
  private boolean over;

  Pull(Supplier<T> next) {
    this.next = next;
  }

  @Override
  public boolean hasNext() {
    if (ahead == null && !over) {
      ahead = next.get();
      over = ahead == null;
    }
    return ahead != null;
  }

  @Override
  public T next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    T given = ahead;
    ahead = null;
    return given;
  }
}
