package dev.turnout.client;

import java.nio.file.Files;
import java.nio.file.Path;

/** Finds what lies beside this client in the repository. */
public final class Repository {
  private static final Path ROOT = findRoot();

  private Repository() {}

  /** A file by its path from the root. */
  public static Path file(String path) {
    return ROOT.resolve(path);
  }

  /** A Python that has grpcio: $PYTHON, or the environment that `make setup` makes. */
  public static String python() {
    String chosen = System.getenv("PYTHON");
    if (chosen != null && !chosen.isEmpty()) {
      return chosen;
    }
    Path made = file(".venv/bin/python");
    if (!Files.isExecutable(made)) {
      throw new IllegalStateException("run `make setup` first, or set PYTHON");
    }
    return made.toString();
  }

  private static Path findRoot() {
    Path folder = Path.of("").toAbsolutePath();
    while (!Files.exists(folder.resolve("clients/smoke/cases.json"))) {
      folder = folder.getParent();
      if (folder == null) {
        throw new IllegalStateException("clients/smoke/cases.json is not above this folder");
      }
    }
    return folder;
  }
}
