package dev.turnout.client.errors;

/**
 * What the caller's side knows of a call that failed.
 *
 * @param requestId the {@code x-request-id} it was sent with, or ""
 * @param outputStarted whether any output had come, voided or not
 * @param partialText the text that had come
 */
public record CallState(String requestId, boolean outputStarted, String partialText) {
  /**
   * A call that had no output.
   *
   * @param requestId the {@code x-request-id} it was sent with, or ""
   * @return its state
   */
  public static CallState withoutOutput(String requestId) {
    return new CallState(requestId, false, "");
  }
}
