package dev.turnout.client;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.Base64;

/** A certificate of its own signing for localhost, as PEM files, made by the JDK's keytool. */
record Certificate(File chain, File privateKey) {
  private static final char[] PASSWORD = "changeit".toCharArray();

  static Certificate make(Path folder, String name)
      throws IOException, InterruptedException, GeneralSecurityException {
    Path store = folder.resolve(name + ".p12");
    var keytool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
    var process =
        new ProcessBuilder(
                keytool, "-genkeypair", "-alias", name, "-keyalg", "EC", "-validity", "2",
                "-dname", "CN=" + name, "-ext", "san=dns:localhost", "-storetype", "PKCS12",
                "-keystore", store.toString(), "-storepass", new String(PASSWORD))
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    if (process.waitFor() != 0) {
      throw new IOException("keytool failed");
    }
    var keys = KeyStore.getInstance(store.toFile(), PASSWORD);
    byte[] chain = keys.getCertificate(name).getEncoded();
    byte[] key = keys.getKey(name, PASSWORD).getEncoded();
    return new Certificate(
        pem(folder.resolve(name + ".crt"), "CERTIFICATE", chain),
        pem(folder.resolve(name + ".key"), "PRIVATE KEY", key));
  }

  private static File pem(Path file, String kind, byte[] encoded) throws IOException {
    String lines = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(encoded);
    String text = "-----BEGIN " + kind + "-----\n" + lines + "\n-----END " + kind + "-----\n";
    return Files.writeString(file, text).toFile();
  }
}
