package dev.turnout.client.errors;

/**
 * One thing that is wrong with a request.
 *
 * @param field path of the field, as in {@code messages[0].role}
 * @param description what is wrong with it
 */
public record FieldViolation(String field, String description) {}
