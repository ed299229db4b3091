package dev.turnout.client;

import dev.turnout.client.errors.TurnoutException;

/**
 * What became of one text of many: a vector, or the error when it alone failed.
 *
 * @param position of the text, from 0
 * @param vector null when the text failed
 * @param error null when it did not
 */
public record Embedded(long position, float[] vector, TurnoutException error) {}
