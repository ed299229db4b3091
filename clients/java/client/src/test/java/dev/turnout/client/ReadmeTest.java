package dev.turnout.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.StringWriter;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The README's blocks are taken out of it and compiled; the first is run. */
class ReadmeTest {
  @TempDir Path folder;

  static List<String> blocks() throws IOException {
    String readme = Files.readString(Repository.file("clients/java/README.md"));
    return Pattern.compile("```java\n(.*?)```", Pattern.DOTALL)
        .matcher(readme)
        .results()
        .map(MatchResult::group)
        .map(block -> block.replaceAll("```(java\n)?", ""))
        .toList();
  }

  @ParameterizedTest
  @MethodSource("blocks")
  void everyBlockCompiles(String block) throws IOException {
    boolean isProgram = block.contains("class ");
    compile(isProgram ? "Ask" : "Snippet", isProgram ? block : wrapped(block));
  }

  @Test
  void theQuickStartHasTenLinesAtMost() throws IOException {
    assertTrue(blocks().get(0).lines().count() <= 10);
  }

  @Test
  void theQuickStartPrintsTheAnswer() throws Exception {
    var chat =
        new ScriptedChat(
            ScriptedChat.text("It "), ScriptedChat.text("scatters."), ScriptedChat.finish(0));
    PrintStream before = System.out;
    var printed = new ByteArrayOutputStream();
    try (var gateway = new ScriptedGateway(chat);
        var loader = new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
      compile("Ask", blocks().get(0).replace("localhost:50051", gateway.address()));
      var main = loader.loadClass("Ask").getDeclaredMethod("main", String[].class);
      main.setAccessible(true);
      System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
      main.invoke(null, (Object) new String[0]);
    } finally {
      System.setOut(before);
    }
    assertEquals("It scatters.", printed.toString(StandardCharsets.UTF_8));
  }

  private static String wrapped(String block) {
    var isImport = block.lines().collect(Collectors.partitioningBy(l -> l.startsWith("import ")));
    return String.join("\n", isImport.get(true))
        + "\nclass Snippet {\nvoid run() throws Exception {\n"
        + String.join("\n", isImport.get(false))
        + "\n}\n}\n";
  }

  private void compile(String name, String source) throws IOException {
    Path file = Files.writeString(folder.resolve(name + ".java"), source);
    var compiler = ToolProvider.getSystemJavaCompiler();
    var said = new StringWriter();
    try (var files = compiler.getStandardFileManager(null, null, StandardCharsets.UTF_8)) {
      List<String> options = List.of("-d", folder.toString(), "-proc:none");
      var units = files.getJavaFileObjects(file);
      assertTrue(
          compiler.getTask(said, files, null, options, null, units).call(), said::toString);
    }
  }
}
