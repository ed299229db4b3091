package dev.turnout.client;

import dev.turnout.v1.EmbedItem;
import dev.turnout.v1.EmbedItems;
import java.util.Iterator;

/** Numbers texts and gathers them into messages of a size that servers and proxies like. */
final class ItemBatches {
  private static final int MAX_ITEMS = 64;
  private static final int MAX_BYTES = 512 * 1024;

  private final Iterator<String> texts;
  private long position;

  ItemBatches(Iterator<String> texts) {
    this.texts = texts;
  }

  /** The next batch of {@code room} items at most; empty when no text is left. */
  EmbedItems next(int room) {
    var batch = EmbedItems.newBuilder();
    int sizeBytes = 0;
    while (batch.getItemsCount() < Math.min(room, MAX_ITEMS)
        && sizeBytes < MAX_BYTES
        && texts.hasNext()) {
      var item = EmbedItem.newBuilder().setId(position++).setText(texts.next()).build();
      sizeBytes += item.getSerializedSize();
      batch.addItems(item);
    }
    return batch.build();
  }
}
