"""The embedded default: small open models on llama.cpp's own server, in processes of their own."""
